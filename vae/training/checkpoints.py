"""Checkpoints: everything that an exact resume needs, written whole or not at all."""

import contextlib
import copy
import inspect
import io
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from vae import compat
from vae.errors import NonFiniteError, RunError, UserError, first_line
from vae.runs.files import atomic_path, remove_unfinished, sync
from vae.runs.history import complete_rows
from vae.runs.paths import RunDirectory
from vae.runs.saved_model import PROGRESS, check_members, clean_copy
from vae.runs.summary import is_finished
from vae.training.options import TrainingOptions
from vae.training.record import RunRecord
from vae.training.signals import stop_requests

RETAINED = 2
#: Callbacks that a stranger's run may name without a word
_FOLLOWING = {getattr(keras.callbacks, name) for name in compat.FOLLOWING_CALLBACKS}

State = dict[str, NDArray[Any]]


@dataclass
class Progress:
    """The content of a checkpoint besides the model, its optimizer and its counters.

    Order, binarization and noise are functions of the seed and of counters, so a checkpoint does not hold them.

    Args:
        steps: training steps so far.
        stopped: True if a callback such as `EarlyStopping` ended the training.
        state: the running means of an epoch that is not over, and the state of the callbacks.
    """

    steps: int = 0
    stopped: bool = False
    state: State = field(default_factory=dict)


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
        start: the point at which a resumed run goes on.

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
        """Give the callbacks their state back.

        Raises:
            UserError: if a callback of Keras cannot have such a state.
        """
        for owner, callback in _owners(self._callbacks):
            state = _unpacked(self._start.state, owner)
            if type(callback) in _FOLLOWING:
                state = _progress_of(callback, state, f"the checkpoint of step {self._start.steps}")
            compat.restore_callback_state(callback, state)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give the model the running means of an epoch that was interrupted."""
        if self._start.steps % self._steps and epoch == self._start.steps // self._steps:
            means = _unpacked(self._start.state, "metrics")["values"]
            try:
                for variable, value in zip(self.model.metrics_variables, means, strict=True):
                    variable.assign(value if value.shape == variable.shape else _with_loss(value, means))
            except ValueError:
                raise UserError(
                    f"the checkpoint of step {self._start.steps} has other means of the epoch so far than the model"
                ) from None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Save within an epoch if a stop was requested or the last checkpoint is old."""
        if self._stop_requested() or self._is_due():
            self._save_within_epoch()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save after the first and the last epoch, on a request to stop, and if the last checkpoint is old."""
        is_last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if self._is_first or is_last or self._stop_requested() or self._is_due():
            self._save({})

    def _is_due(self) -> bool:
        return time.monotonic() >= self._due

    def _save_within_epoch(self) -> None:
        if int(self.model.batches_seen.numpy()) % self._steps:
            self._save({"values": [variable.numpy() for variable in self.model.metrics_variables]})

    def _save(self, metrics: dict[str, Any]) -> None:
        if self._directory:
            steps = int(self.model.batches_seen.numpy())
            state = _packed(metrics, "metrics")
            for owner, callback in _owners(self._callbacks):
                state |= _packed(compat.callback_state(callback), owner)
            progress = Progress(steps, bool(self.model.stop_training), state)
            if self._history.exists():
                sync(self._history)  # a machine that is lost must not keep the checkpoint without the epochs before it
            save_model(self.model, self._directory / f"step-{steps:08d}.keras", progress)
            for old in checkpoints_in(self._directory)[RETAINED:]:
                old.unlink()
        self._is_first, self._due = False, time.monotonic() + self._seconds
        if self._stop_requested():
            raise KeyboardInterrupt


def _owners(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[tuple[str, keras.callbacks.Callback]]:
    """Yield the callbacks whose state is saved, each with its name in the checkpoint."""
    for number, callback in enumerate(callbacks):
        yield f"{number}-{type(callback).__name__}", callback


def check_states(
    run: RunDirectory, start: Progress, callbacks: Sequence[keras.callbacks.Callback], model: keras.Model
) -> None:
    """Check the state that the callbacks of a run get back, before anything of the run is written.

    Args:
        run: the run that resumes.
        start: the progress of its newest checkpoint.
        callbacks: the callbacks whose state it has.
        model: the model.

    Raises:
        UserError: if a callback of Keras cannot have such a state.
    """
    for owner, callback in _owners(callbacks):
        if type(callback) in _FOLLOWING:
            begun = copy.copy(callback)
            begun.set_model(model)
            begun.on_train_begin()
            place = f"resume={run}: the checkpoint of step {start.steps}"
            _progress_of(begun, _unpacked(start.state, owner), place)


def _progress_of(callback: keras.callbacks.Callback, state: Mapping[str, Any], checkpoint: str) -> dict[str, Any]:
    """Return what of a state is the progress of one of Keras's callbacks, whose options its constructor has taken.

    Raises:
        UserError: if it has values that the callback would fail with in mid-training.
    """
    options = inspect.signature(type(callback).__init__).parameters
    own = {name: value for name, value in compat.callback_state(callback).items() if name not in options}
    shapes = [weight.shape for weight in callback.model.weights]
    for name, value in (progress := {name: value for name, value in state.items() if name in own}).items():
        if isinstance(value, list):
            numbers = (item.shape for item in value if item.dtype.kind in "fiub")
            fits = name == "best_weights" and [*numbers] == shapes
        else:
            expected = "number" if name == "best" else _kind(own[name])  # there is none before the first epoch
            fits = expected is not None and _kind(value) == expected
        if not fits:
            shown = f"{type(callback).__name__}.{name}"
            raise UserError(f"{checkpoint} gives {shown} a value that it cannot have; delete it to resume before it")
    return progress


def _kind(value: Any) -> str | None:
    """Return the kind of a value of which a checkpoint keeps one, or None."""
    kinds: dict[str, Any] = {"text": str, "truth": bool, "number": int | float}
    return next((name for name, types in kinds.items() if isinstance(value, types)), None)


def _with_loss(totals: NDArray[Any], means: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the totals of version 0.1.0 with that of the loss, which Keras alone kept then, before them."""
    loss_total, loss_count, *_, weight = means
    return np.concatenate([[loss_total / loss_count * weight], totals])


def checkpoints_in(directory: Path) -> list[Path]:
    """Return the checkpoints in a directory, the newest first."""
    found = (path for path in directory.glob("step-*.keras") if path.stem.removeprefix("step-").isdecimal())
    return sorted(found, key=steps_of, reverse=True)


def steps_of(checkpoint: Path) -> int:
    """Return the number of training steps of a checkpoint, from its name."""
    return int(checkpoint.stem.removeprefix("step-"))


def latest_checkpoint(directory: Path, option: str) -> tuple[keras.Model, Progress]:
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


def check_progress(run: RunDirectory, start: Progress, steps_per_epoch: int, epochs: int) -> None:
    """Check that a run has what a resume needs besides the model.

    Args:
        run: the run that resumes.
        start: the progress of its newest checkpoint.
        steps_per_epoch: training steps of an epoch.
        epochs: epochs of the whole run.

    Raises:
        UserError: if a checkpoint within an epoch lacks the running means; if the history is not one that is read; or
            if no step is left to train, and the history, from which the run's figures are taken, has no epoch.
    """
    means = _unpacked(start.state, "metrics").get("values")
    are_numbers = isinstance(means, list) and all(np.asarray(value).dtype.kind == "f" for value in means)
    if start.steps % steps_per_epoch and not are_numbers:
        raise UserError(f"resume={run}: the checkpoint of step {start.steps} lacks the means of the epoch so far")
    is_over = start.stopped or start.steps >= steps_per_epoch * epochs
    rows = complete_rows(run.history)  # of every run: one that is refused must not stop the training later
    if is_over and not any(row["step"] <= start.steps for row in rows):
        raise UserError(f"resume={run}: no epoch is left to train, and its history.csv is missing or damaged")


def trained_model(directory: Path, option: str) -> keras.Model:
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
            members: Any = {"steps": progress.steps, "stopped": progress.stopped, **progress.state}
            np.savez(content, **members)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(PROGRESS, content.getvalue())


def load_model(path: Path, option: str) -> keras.Model:
    """Return a saved VAE. Classes from outside the package must have been imported before.

    Keras's safe mode refuses functions that are stored as code, and Keras itself imports no module that a file names.

    Raises:
        UserError: if the file is missing, damaged or no VAE's; `option` is the one that named it.
        RunError: if the machine has no place for a copy of it.
    """
    from vae.model import VAE  # which registers the class

    try:
        with clean_copy(path) as clean:
            model = keras.models.load_model(clean, safe_mode=True)
    except RunError:
        raise
    except Exception as error:  # whatever a damaged file makes of Keras
        raise _damage(path, option, error) from error
    if not isinstance(model, VAE):
        raise UserError(f"{option}: {path.name} holds a {type(model).__name__}; must hold a VAE")
    return model


def _load_progress(path: Path, option: str) -> Progress:
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(PROGRESS)
        with zipfile.ZipFile(io.BytesIO(content)) as inner:
            check_members(inner, len(content))
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            state = dict(members)
        steps, stopped = state.pop("steps"), state.pop("stopped")
        if steps.dtype.kind != "i" or steps != steps_of(path):
            raise ValueError(f"it says that it is of step {steps}")
        if foreign := [name for name in state if "/" not in name]:
            raise ValueError(f"it has a member {foreign[0]}, which belongs to nothing")
        return Progress(int(steps), bool(stopped), state)
    except Exception as error:  # whatever a damaged file makes of NumPy
        raise _damage(path, option, error) from error


def _damage(path: Path, option: str, error: Exception) -> UserError:
    return UserError(f"{option}: {path.name} is missing, damaged or of another version ({first_line(error)})")


def _packed(attributes: dict[str, Any], prefix: str) -> State:
    """Return the plain attributes of an object (numbers, words, arrays, lists of arrays) as named arrays."""
    return {f"{prefix}/{name}": array for key, value in attributes.items() for name, array in _arrays(key, value)}


def _arrays(name: str, value: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, bool | int | float | str | np.ndarray | np.generic):
        yield name, np.asarray(value)
    elif isinstance(value, list) and all(isinstance(item, np.ndarray | np.generic) for item in value):
        yield from ((f"{name}/{place:06d}", np.asarray(item)) for place, item in enumerate(value))


def _unpacked(state: State, prefix: str) -> dict[str, Any]:
    """Return the attributes of which `_packed` made arrays."""
    values: dict[str, Any] = {}
    lists: dict[str, list[NDArray[Any]]] = {}
    for key in sorted(state):
        owner, name, *place = key.split("/")
        if owner == prefix and place:
            lists.setdefault(name, []).append(state[key])
        elif owner == prefix:
            values[name] = state[key].item() if state[key].ndim == 0 else state[key]
    return values | lists
