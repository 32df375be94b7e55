"""The progress of a run: what a checkpoint holds besides the model, and whether it fits the run."""

import copy
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from vae import compat
from vae.data import DataSource
from vae.errors import UserError
from vae.model import VAE
from vae.runs.history import complete_rows
from vae.runs.paths import RunDirectory
from vae.runs.quantities import TRAIN, VALIDATION, QuantityName
from vae.training.options import TrainingOptions

#: Callbacks that a stranger's run may name without a word
_FOLLOWING = {getattr(keras.callbacks, name) for name in compat.FOLLOWING_CALLBACKS}
#: The columns of a history from which the figures at the end of a run are taken
_SHOWN = {
    QuantityName(split, name).column
    for split in (TRAIN, VALIDATION)
    for name in ("elbo", "kl", "loss", "reconstruction", "regularizer")
} | {QuantityName(TRAIN, "beta").column}
_REMEDY = "delete it to resume before it"


@dataclass
class Progress:
    """The content of a checkpoint besides the model, its optimizer and its counters.

    Order, binarization and noise are functions of the seed and of counters, so a checkpoint does not hold them.

    Args:
        steps: training steps so far.
        stopped: True if a callback such as `EarlyStopping` ended the training.
        means: the values of the model's metrics in an epoch that is not over.
        states: the attributes of each callback, by its name in `named`.
    """

    steps: int = 0
    stopped: bool = False
    means: list[NDArray[Any]] = field(default_factory=list)
    states: dict[str, dict[str, Any]] = field(default_factory=dict)


def named(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[tuple[str, keras.callbacks.Callback]]:
    """Yield the callbacks whose state is saved, each with its name in a checkpoint, such as "0-EarlyStopping"."""
    for number, callback in enumerate(callbacks):
        yield f"{number}-{type(callback).__name__}", callback


def checked_progress(
    run: RunDirectory,
    start: Progress,
    model: VAE,
    optimizer: keras.optimizers.Optimizer,
    callbacks: Sequence[keras.callbacks.Callback],
    options: TrainingOptions,
    data: DataSource,
) -> Progress:
    """Return the progress from which a run resumes, in the form that this version writes.

    Args:
        run: the run that resumes.
        start: the progress of its newest checkpoint.
        model: the model of that checkpoint.
        optimizer: the optimizer that the run's configuration describes.
        callbacks: the callbacks whose state is saved.
        options: the options of the training.
        data: the data set.

    Raises:
        UserError: if the model is of another step or for images of another shape, or its optimizer is not the
            configured one; if a checkpoint within an epoch lacks the running means, or has other means than the model;
            if a callback of Keras cannot have such a state; if the history is not one that is read; or if no step is
            left to train, and the history, from which the run's figures are taken, lacks them.
    """
    checkpoint = f"resume={run}: the checkpoint of step {start.steps}"
    if (counted := int(model.batches_seen.numpy())) != start.steps:
        raise UserError(f"{checkpoint} holds the model of step {counted}; {_REMEDY}")
    if (shape := model.encoder.input_shape[1:]) != data.image_shape:
        raise UserError(f"{checkpoint} holds a model of images of {shape}; those of the data are {data.image_shape}")
    if _fixed_options(model.optimizer) != _fixed_options(optimizer):
        raise UserError(f"{checkpoint} has another optimizer than the run's configuration; {_REMEDY}")
    steps_per_epoch = options.steps_per_epoch(data.size("train"))
    means = _fitting_means(start.means, model, checkpoint) if start.steps % steps_per_epoch else []
    states = {name: start.states.get(name, {}) for name, _ in named(callbacks)}
    for name, callback in named(callbacks):
        if type(callback) in _FOLLOWING:
            begun = copy.copy(callback)
            begun.set_model(model)
            begun.on_train_begin()
            states[name] = _progress_of(begun, states[name], checkpoint)
    is_over = start.stopped or start.steps >= steps_per_epoch * options.epochs
    rows = complete_rows(run.history)  # of every run: one that is refused must not stop the training later
    if is_over and not {name for row in rows if row["step"] <= start.steps for name in row} >= _SHOWN:
        raise UserError(f"resume={run}: no epoch is left to train, and its history.csv is missing or damaged")
    return replace(start, means=means, states=states)


def _fixed_options(optimizer: keras.optimizers.Optimizer | None) -> tuple[type, dict[str, Any]]:
    """Return the class and the options of an optimizer that training does not change.

    A constant learning rate is a variable, which callbacks change. Names are numbered within a process.
    """
    return type(optimizer), _without_changing(optimizer.get_config()) if optimizer else {}


def _without_changing(config: Mapping[str, Any]) -> dict[str, Any]:
    fixed: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict):
            fixed[name] = _without_changing(value)
        elif name == "name":
            fixed[name] = re.sub(r"_\d+$", "", str(value))
        elif name != "learning_rate":
            fixed[name] = value
    return fixed


def _fitting_means(means: Sequence[NDArray[Any]], model: VAE, checkpoint: str) -> list[NDArray[Any]]:
    """Return the values of the model's metrics, with the total of the loss, which version 0.1.0 did not save."""
    if not means or any(value.dtype.kind != "f" for value in means):
        raise UserError(f"{checkpoint} lacks the means of the epoch so far")
    if [value.shape for value in means] == [(), (), (3,), ()]:  # Keras alone kept the loss
        loss_total, loss_count, totals, weight = means
        with np.errstate(all="ignore"):
            means = [loss_total, loss_count, np.append(loss_total / loss_count * weight, totals), weight]
    fits = [value.shape for value in means] == [variable.shape for variable in model.metrics_variables]
    if not fits or not all(np.isfinite(value).all() for value in means):
        raise UserError(f"{checkpoint} has other means of the epoch so far than the model; {_REMEDY}")
    return [*means]


def _progress_of(callback: keras.callbacks.Callback, state: Mapping[str, Any], checkpoint: str) -> dict[str, Any]:
    """Return what of a state is the progress of one of Keras's callbacks, whose options its constructor has taken.

    Raises:
        UserError: if it has values that the callback would fail with in mid-training.
    """
    options = inspect.signature(type(callback).__init__).parameters
    own = {name: value for name, value in compat.callback_state(callback).items() if name not in options}
    kinds = [(weight.shape, weight.dtype) for weight in callback.model.weights]
    for name, value in (progress := {name: value for name, value in state.items() if name in own}).items():
        if isinstance(value, list):
            found = [(item.shape, str(item.dtype)) for item in value]
            fits = name == "best_weights" and found == kinds and all(np.isfinite(item).all() for item in value)
        else:
            expected = "number" if name == "best" else _kind(own[name])  # there is none before the first epoch
            fits = expected is not None and _kind(value) == expected
        if not fits:
            shown = f"{type(callback).__name__}.{name}"
            raise UserError(f"{checkpoint} gives {shown} a value that it cannot have; {_REMEDY}")
    return progress


def _kind(value: Any) -> str | None:
    """Return the kind of a value of which a checkpoint keeps one, or None."""
    kinds: dict[str, Any] = {"text": str, "truth": bool, "number": int | float}
    return next((name for name, types in kinds.items() if isinstance(value, types)), None)
