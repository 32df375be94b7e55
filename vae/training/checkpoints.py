"""Checkpoints: everything that an exact resume needs, written whole or not at all."""

import contextlib
import io
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae import compat
from vae.errors import NonFiniteError, RunError, UserError, first_line
from vae.model import VAE
from vae.runs.files import atomic_path, remove_unfinished, sync
from vae.runs.paths import RunDirectory
from vae.runs.saved_model import PROGRESS, check_members, clean_copy
from vae.runs.summary import is_finished
from vae.training.non_finite import first_non_finite_weight
from vae.training.options import TrainingOptions
from vae.training.progress import Progress, named
from vae.training.record import RunRecord
from vae.training.signals import stop_requests

RETAINED = 2
_METRICS, _MEANS = "metrics", "values"  # the running means among the members of a progress


class Checkpoints(keras.callbacks.Callback):
    """Saves the model and its progress after the first epoch, then from time to time, and after the last epoch.

    A process that is killed loses the training since the last checkpoint, which a resume repeats to the bit. The last
    two checkpoints stay. The callback comes after all others, so that it sees what they did; in a resumed run
    it restores their state once training has begun. As a context manager around `fit` it takes Ctrl-C and SIGTERM
    as requests to stop after the running chunk, and saves the model as it was before a step that made a quantity NaN.

    Args:
        record: the record of the run, into whose directory `checkpoints/step-00000010.keras` and so on are written if
            it writes.
        callbacks: the callbacks whose state is saved.
        options: the options of the training, with the seconds between two checkpoints.
        images: number of training images.
        start: the point at which a resumed run goes on (`checked_progress`).

    Raises:
        KeyboardInterrupt: after saving, if a stop was requested.
    """

    def __init__(
        self,
        record: RunRecord,
        callbacks: Sequence[keras.callbacks.Callback],
        options: TrainingOptions,
        images: int,
        start: Progress,
    ) -> None:
        super().__init__()
        self._directory = record.directory.checkpoints if record.writes else None
        self._history = record.directory.history
        self._callbacks = callbacks
        self._steps = options.steps_per_epoch(images)
        self._start = start
        self._stop_requested: Callable[[], bool] = lambda: False
        self._seconds = options.checkpoint_seconds
        self._due = time.monotonic() + self._seconds
        self._is_first = True
        if self._directory:
            self._directory.mkdir(parents=True, exist_ok=True)
            remove_unfinished(record.directory.path)

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._stop_requested = self._stack.enter_context(stop_requests())
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None and issubclass(kind, NonFiniteError):
            self._save_within_epoch()
        self._stack.close()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Give the callbacks their state back."""
        for name, callback in named(self._callbacks):
            compat.restore_callback_state(callback, self._start.states.get(name, {}))

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give the model the running means of an epoch that was interrupted."""
        if self._start.means and epoch == self._start.steps // self._steps:
            for variable, value in zip(self.model.metrics_variables, self._start.means, strict=True):
                variable.assign(value)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Save within an epoch if a stop was requested or the last checkpoint is old."""
        if self._stop_requested() or self._is_due():
            self._save_within_epoch()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save after the first and the last epoch, on a request to stop, and if the last checkpoint is old."""
        is_last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if self._is_first or is_last or self._stop_requested() or self._is_due():
            self._save([])

    def _is_due(self) -> bool:
        return time.monotonic() >= self._due

    def _save_within_epoch(self) -> None:
        if int(self.model.batches_seen.numpy()) % self._steps:
            self._save([variable.numpy() for variable in self.model.metrics_variables])

    def _save(self, means: list[NDArray[Any]]) -> None:
        if self._directory and not first_non_finite_weight(self.model):  # or the next step will end the training
            steps = int(self.model.batches_seen.numpy())
            states = {name: compat.callback_state(callback) for name, callback in named(self._callbacks)}
            progress = Progress(steps, bool(self.model.stop_training), means, states)
            if self._history.exists():
                sync(self._history)  # a machine that is lost must not keep the checkpoint without the epochs before it
            save_model(self.model, self._directory / f"step-{steps:08d}.keras", progress)
            for old in checkpoints_in(self._directory)[RETAINED:]:
                old.unlink()
        self._is_first, self._due = False, time.monotonic() + self._seconds
        if self._stop_requested():
            raise KeyboardInterrupt


def checkpoints_in(directory: Path) -> list[Path]:
    """Return the checkpoints in a directory, the newest first."""
    found = (path for path in directory.glob("step-*.keras") if path.stem.removeprefix("step-").isdecimal())
    return sorted(found, key=steps_of, reverse=True)


def steps_of(checkpoint: Path) -> int:
    """Return the number of training steps of a checkpoint, from its name."""
    return int(checkpoint.stem.removeprefix("step-"))


def latest_checkpoint(directory: Path, option: str) -> tuple[VAE, Progress]:
    """Return the model and the progress of the newest checkpoint that is whole.

    Raises:
        UserError: if there is none; `option` is the one that named the run.
    """
    error = UserError(f"{option}: has neither model.keras nor a checkpoint; it stopped before its first")
    for checkpoint in checkpoints_in(directory)[: RETAINED + 1]:  # a killed run may have one more than it keeps
        try:
            return load_model(checkpoint, option), _load_progress(checkpoint, option)
        except RunError:
            raise
        except UserError as damage:
            warnings.warn(f"{damage}; using the checkpoint before it", stacklevel=2)
            error = damage
    raise error


def trained_model(directory: Path, option: str) -> VAE:
    """Return the model of a run: model.keras if it finished, otherwise its newest checkpoint, if there is one.

    A run that was resumed and has not finished again still has the model.keras of before.

    Raises:
        UserError: if neither exists and is whole; `option` is the one that named the run.
    """
    run = RunDirectory(directory)
    if run.model.exists() and (is_finished(run) or not checkpoints_in(run.checkpoints)):
        return load_model(run.model, option)
    return latest_checkpoint(run.checkpoints, option)[0]


def save_model(model: keras.Model, path: Path, progress: Progress | None = None) -> None:
    """Write a model, with its progress as one more member of the same archive, whole or not at all."""
    with atomic_path(path, durable=True) as temporary:
        model.save(temporary)
        if progress is not None:
            content = io.BytesIO()
            np.savez(content, **_packed(progress))
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(PROGRESS, content.getvalue())


def load_model(path: Path, option: str) -> VAE:
    """Return a saved VAE. Classes from outside the package must have been imported before.

    Keras's safe mode refuses functions that are stored as code, and Keras itself imports no module that a file names.

    Raises:
        UserError: if the file is missing, damaged or no VAE's, or the parts of the VAE do not go together; `option` is
            the one that named it.
        RunError: if the machine has no place for a copy of it.
    """
    try:
        with clean_copy(path) as clean:
            model = keras.models.load_model(clean, safe_mode=True)
        if not isinstance(model, VAE):
            raise ValueError(f"it holds a {type(model).__name__}; must hold a VAE")
        model.compile(model.optimizer)  # without the other options of `compile`, which no run has
        _check_parts(model)
    except RunError:
        raise
    except Exception as error:  # whatever a damaged file makes of Keras
        raise _damage(path, option, error) from error
    return model


def _check_parts(model: VAE) -> None:
    """Raise the error with which the parts of a model fail together. Nothing is computed: a graph is traced."""
    images = tf.TensorSpec((2, *model.encoder.input_shape[1:]))
    tf.function(model.test_step, autograph=False).get_concrete_function((images,))


def _load_progress(path: Path, option: str) -> Progress:
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(PROGRESS)
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            check_members(inner, len(content))
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            arrays: dict[str, NDArray[Any]] = dict(members)
        progress = _unpacked(arrays)
        if progress.steps != steps_of(path):
            raise ValueError(f"it says that it is of step {progress.steps}")
        return progress
    except Exception as error:  # whatever a damaged file makes of NumPy
        raise _damage(path, option, error) from error


def _damage(path: Path, option: str, error: Exception) -> UserError:
    return UserError(f"{option}: {path.name} is missing, damaged or of another version ({first_line(error)})")


def _packed(progress: Progress) -> dict[str, Any]:
    """Return a progress as named arrays: of the callbacks' attributes the numbers, words, arrays and lists of these."""
    states = {_METRICS: {_MEANS: progress.means}, **progress.states}
    return {"steps": progress.steps, "stopped": progress.stopped} | {
        f"{owner}/{name}": array
        for owner, state in states.items()
        for key, value in state.items()
        for name, array in _arrays(key, value)
    }


def _arrays(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, bool | int | float | str | np.ndarray | np.generic):
        yield name, np.asarray(value)
    elif isinstance(value, list) and all(isinstance(item, np.ndarray | np.generic) for item in value):
        yield from ((f"{name}/{place:06d}", np.asarray(item)) for place, item in enumerate(value))


def _unpacked(arrays: dict[str, NDArray[Any]]) -> Progress:
    """Return the progress of which `_packed` made arrays.

    Raises:
        ValueError: if it has not made them.
    """
    steps, stopped = arrays.pop("steps"), arrays.pop("stopped")
    if steps.dtype.kind != "i":
        raise ValueError(f"it says that it is of step {steps}")
    states: dict[str, dict[str, Any]] = {}
    for key, array in sorted(arrays.items()):
        owner, *name = key.split("/")
        if not name or not isinstance(array, np.ndarray):
            raise ValueError(f"its member {key} is no array of a callback or a metric")
        state = states.setdefault(owner, {})
        if len(name) == 1:
            state[name[0]] = array.item() if array.ndim == 0 else array
        else:
            state.setdefault(name[0], []).append(array)
    means = states.pop(_METRICS, {}).get(_MEANS, [])
    if not isinstance(means, list):
        raise ValueError("its running means are no list")
    return Progress(int(steps), bool(stopped), means, states)
