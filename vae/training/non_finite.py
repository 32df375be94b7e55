"""NaN and infinity, found at the step at which they first appear."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from vae.data import Chunk
from vae.errors import NonFiniteError
from vae.model import VAE

STEPS_BETWEEN_SNAPSHOTS = 50  # if a call has fewer steps


class NonFiniteWatch:
    """A function that trains on a chunk and checks the metrics afterwards, and before each snapshot the weights.

    A step is a function of the model's state and its number. The first bad step is therefore found by repeating the
    last chunks one step at a time, from a snapshot of the model's state taken before them; as long as all is finite
    the watch costs next to nothing. The model is left as it was before the bad step.

    Args:
        model: the model that is trained.
        run: trains on a chunk and returns the running means of the metrics.

    Raises:
        NonFiniteError: by the call, with the step, the quantity and the last finite values.
    """

    def __init__(self, model: VAE, run: Callable[[Chunk], dict[str, tf.Tensor]]) -> None:
        self._model = model
        self._run = run
        self._snapshot: list[tf.Tensor] = []
        self._chunks: list[Chunk] = []  # since the snapshot
        self._steps = 0

    def __call__(self, chunks: Iterator[Chunk]) -> dict[str, tf.Tensor]:
        """Train on the next chunk and return the running means of the metrics."""
        chunk = next(chunks)
        if not self._chunks or self._steps >= STEPS_BETWEEN_SNAPSHOTS:
            self._snapshot, self._chunks, self._steps = self._state(), [], 0
        self._chunks.append(chunk)
        self._steps += int(chunk.length)
        means = self._run(chunk)
        bad = _first_non_finite(means)
        if not bad and self._steps >= STEPS_BETWEEN_SNAPSHOTS:  # of weights that are not finite there is no way back
            bad = first_non_finite_weight(self._model)
        if bad:
            self._restore(self._snapshot)
            self._raise_at_first_bad_step(bad)
        return means

    def _raise_at_first_bad_step(self, found: str) -> None:
        last: dict[str, float] = {}
        for chunk in self._chunks:
            for place in range(int(chunk.length)):
                before, step = self._state(), int(chunk.first_step) + place
                self._model.reset_metrics()
                means = self._run(_one_step(chunk, place))
                if bad := _first_non_finite(means) or first_non_finite_weight(self._model):
                    self._restore(before)
                    raise _error(bad, step, last)
                last = {name: float(value) for name, value in means.items()}
        raise _error(found, step, last)  # the sum of finite values overflowed

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def _state(self) -> list[tf.Tensor]:
        return [tf.convert_to_tensor(variable) for variable in self._variables()]

    def _restore(self, state: list[tf.Tensor]) -> None:
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)


def first_non_finite_weight(model: VAE) -> str | None:
    """Return which weight of a model has a number that is not finite, or None if all are finite."""
    for variable in model.trainable_variables:
        if not np.isfinite(variable.numpy()).all():
            return f"the weight {variable.path}"
    return None


def _first_non_finite(means: dict[str, Any]) -> str | None:
    """Return the first quantity that is not finite, causes before their consequences."""
    order = ("kl", "reconstruction", "regularizer", "elbo", "loss")
    return next((name for name in order if name in means and not math.isfinite(float(means[name]))), None)


def _one_step(chunk: Chunk, place: int) -> Chunk:
    """Return the chunk that has a single step of another one."""
    return chunk._replace(
        indices=chunk.indices[place : place + 1],
        first_step=chunk.first_step + place,
        length=tf.ones_like(chunk.length),
        weights=None if chunk.weights is None else chunk.weights[place : place + 1],
    )


def _error(quantity: str, step: int, last: dict[str, float]) -> NonFiniteError:
    values = ", ".join(f"{name} {value:.6g}" for name, value in last.items())
    values = values or ("not kept, as a snapshot was taken before it" if step else "none: it was the first step")
    return NonFiniteError(
        f"{quantity} became NaN or infinite in training step {step + 1}; the last finite values: {values}; "
        "try a smaller optimizer.learning_rate, or optimizer.clipnorm=1",
        diverged={"quantity": quantity, "step": step + 1, "last": last},
    )
