"""Checkpoints: all that an exact resume needs, written as a whole or not at all."""

import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras

from vae.errors import UserError
from vae.files import replaced

KEPT = 2


class Checkpoints(keras.callbacks.Callback):
    """Saves the model, its optimizer and its counters after every epoch; the last two are kept.

    Order, binarization and noise are functions of the seed and of counters, so nothing else is needed.

    Args:
        directory: where `epoch-0001.keras` and so on go.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes one and removes the one before the last."""
        save_model(self.model, self._directory / f"epoch-{epoch + 1:04d}.keras")
        for old in checkpoints(self._directory)[KEPT:]:
            old.unlink()


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints in a directory, the newest first."""
    return sorted(directory.glob("epoch-*.keras"), key=epoch_of, reverse=True)


def epoch_of(checkpoint: Path) -> int:
    """How many epochs a checkpoint has behind it."""
    return int(checkpoint.stem.removeprefix("epoch-"))


def latest_model(directory: Path, option: str) -> tuple[keras.Model, int]:
    """The model of the newest checkpoint that is whole, and how many epochs it has behind it.

    Raises:
        UserError: where there is none; `option` is the one that named the run.
    """
    error = UserError(f"{option}: has neither model.keras nor a checkpoint; its first epoch never ended")
    for checkpoint in checkpoints(directory):
        try:
            return load_model(checkpoint, option), epoch_of(checkpoint)
        except UserError as damage:
            warnings.warn(f"{damage}; taking the checkpoint before it", stacklevel=2)
            error = damage
    raise error


def trained_model(directory: Path, option: str) -> keras.Model:
    """The model of a run: model.keras where it finished, its newest checkpoint where it did not.

    Raises:
        UserError: where neither is there or whole; `option` is the one that named the run.
    """
    finished = directory / "model.keras"
    return load_model(finished, option) if finished.exists() else latest_model(directory / "checkpoints", option)[0]


def save_model(model: keras.Model, path: Path) -> None:
    """Writes a model as a whole or not at all."""
    with replaced(path) as temporary:
        model.save(temporary)


def load_model(path: Path, option: str) -> keras.Model:
    """A saved VAE. A regularizer from outside the package must have been imported before.

    Raises:
        UserError: where the file is missing or damaged; `option` is the one that named it.
    """
    import vae.model  # noqa: F401  (registers the class)

    try:
        return keras.models.load_model(path)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise UserError(f"{option}: {path.name} is missing, damaged or of another version ({reason})") from error
