"""Checkpoints: all that an exact resume needs, written as a whole or not at all."""

import io
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from vae.errors import UserError
from vae.runs.files import atomic_path

KEPT = 2
SECONDS_BETWEEN = 300.0
_PROGRESS = "progress.npz"

State = dict[str, NDArray[Any]]


@dataclass
class Progress:
    """What a checkpoint holds beside the model, its optimizer and its counters.

    Order, binarization and noise are functions of the seed and of counters, so nothing of them is in it.

    Args:
        steps: how many training steps lie behind.
        stopped: whether a callback ended training, such as `EarlyStopping`.
        state: the running means of an epoch that is not over, and what the callbacks remember.
    """

    steps: int = 0
    stopped: bool = False
    state: State = field(default_factory=dict)


class Checkpoints(keras.callbacks.Callback):
    """Saves the model and its progress after every epoch and, in long ones, every five minutes; the last two are kept.

    It comes after all other callbacks, so that it sees what they did. On a resume it gives them back what they
    remembered, once they have all begun.

    Args:
        directory: where `step-00000010.keras` and so on go; None, where another worker saves them.
        callbacks: those whose memory is saved.
        steps_per_epoch: training steps in an epoch.
        interrupted: whether someone asked to stop; after the next chunk everything is saved, and training ends.
        resumed: where the run goes on.

    Raises:
        KeyboardInterrupt: after saving, where someone asked to stop.
    """

    def __init__(
        self,
        directory: Path | None,
        callbacks: Sequence[keras.callbacks.Callback],
        steps_per_epoch: int,
        interrupted: Callable[[], bool],
        resumed: Progress,
    ) -> None:
        super().__init__()
        self._directory = directory
        self._callbacks = callbacks
        self._steps = steps_per_epoch
        self._interrupted = interrupted
        self._resumed = resumed
        self._saved = time.monotonic()
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
            for left in directory.glob(".step-*"):
                left.unlink()  # a killed process was writing it

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Gives the callbacks back what they remembered."""
        for owner, callback in self._owners():
            vars(callback).update(_unpacked(self._resumed.state, owner))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Gives the model back the running means of the epoch that it goes on with."""
        if self._resumed.steps % self._steps and epoch == self._resumed.steps // self._steps:
            for variable, value in zip(
                self.model.metrics_variables, _unpacked(self._resumed.state, "metrics")["values"], strict=True
            ):
                variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves in the midst of an epoch, where someone asked to stop or it has been long."""
        if self._interrupted() or time.monotonic() - self._saved > SECONDS_BETWEEN:
            self.save_in_the_midst()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves after an epoch."""
        self._save({})

    def save_in_the_midst(self) -> None:
        """Saves, whatever the clock says, where an epoch is not over."""
        if int(self.model.batches_seen.numpy()) % self._steps:
            self._save({"values": [variable.numpy() for variable in self.model.metrics_variables]})

    def _owners(self) -> Iterator[tuple[str, keras.callbacks.Callback]]:
        """The callbacks whose memory is saved, each with its name in the checkpoint."""
        for number, callback in enumerate(self._callbacks):
            yield f"{number}-{type(callback).__name__}", callback

    def _save(self, metrics: dict[str, Any]) -> None:
        if self._directory:
            steps = int(self.model.batches_seen.numpy())
            state = _packed(metrics, "metrics")
            for owner, callback in self._owners():
                state |= _packed(vars(callback), owner)
            progress = Progress(steps, bool(self.model.stop_training), state)
            save_model(self.model, self._directory / f"step-{steps:08d}.keras", progress)
            for old in checkpoints(self._directory)[KEPT:]:
                old.unlink()
        self._saved = time.monotonic()
        if self._interrupted():
            raise KeyboardInterrupt


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints in a directory, the newest first."""
    return sorted(directory.glob("step-*.keras"), key=steps_of, reverse=True)


def steps_of(checkpoint: Path) -> int:
    """How many training steps a checkpoint has behind it."""
    return int(checkpoint.stem.removeprefix("step-"))


def latest_checkpoint(directory: Path, option: str) -> tuple[keras.Model, Progress]:
    """The newest checkpoint that is whole: its model and its progress.

    Raises:
        UserError: where there is none; `option` is the one that named the run.
    """
    error = UserError(f"{option}: has neither model.keras nor a checkpoint; it was stopped before its first")
    for checkpoint in checkpoints(directory):
        try:
            return load_model(checkpoint, option), _load_progress(checkpoint, option)
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
    return (
        load_model(finished, option) if finished.exists() else latest_checkpoint(directory / "checkpoints", option)[0]
    )


def save_model(model: keras.Model, path: Path, progress: Progress | None = None) -> None:
    """Writes a model, and its progress as one more member of the same archive, as a whole or not at all."""
    with atomic_path(path) as temporary:
        model.save(temporary)
        if progress is not None:
            content = io.BytesIO()
            members: Any = {"steps": progress.steps, "stopped": progress.stopped, **progress.state}
            np.savez(content, **members)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(_PROGRESS, content.getvalue())


def load_model(path: Path, option: str) -> keras.Model:
    """A saved VAE. A regularizer from outside the package must have been imported before.

    Raises:
        UserError: where the file is missing or damaged; `option` is the one that named it.
    """
    import vae.model  # noqa: F401  (registers the class)

    try:
        return keras.models.load_model(path)
    except (ValueError, OSError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _damage(path, option, error) from error


def _load_progress(path: Path, option: str) -> Progress:
    try:
        with zipfile.ZipFile(path) as archive, np.load(io.BytesIO(archive.read(_PROGRESS))) as members:
            state = dict(members)
        return Progress(int(state.pop("steps")), bool(state.pop("stopped")), state)
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise _damage(path, option, error) from error


def _damage(path: Path, option: str, error: Exception) -> UserError:
    reason = str(error).strip().splitlines()[0][:160]
    return UserError(f"{option}: {path.name} is missing, damaged or of another version ({reason})")


def _packed(attributes: dict[str, Any], prefix: str) -> State:
    """What of an object's attributes is plain (numbers, words, arrays, lists of them), as named arrays."""
    return {f"{prefix}/{name}": array for key, value in attributes.items() for name, array in _arrays(key, value)}


def _arrays(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, bool | int | float | str | np.ndarray | np.generic):
        yield name, np.asarray(value)
    elif isinstance(value, list) and all(isinstance(item, np.ndarray | np.generic) for item in value):
        yield from ((f"{name}/{place:06d}", np.asarray(item)) for place, item in enumerate(value))


def _unpacked(state: State, prefix: str) -> dict[str, Any]:
    """The attributes that `_packed` made arrays of."""
    attributes: dict[str, Any] = {}
    for key in sorted(state):
        owner, name, *place = key.split("/")
        if owner != prefix:
            continue
        if place:
            attributes.setdefault(name, []).append(state[key])
        else:
            attributes[name] = state[key].item() if state[key].ndim == 0 else state[key]
    return attributes
