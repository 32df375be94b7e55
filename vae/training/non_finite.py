"""NaN and infinity, found at the step where they first appear."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from vae.data import Chunk
from vae.errors import UserError
from vae.model import VAE

STEPS_BETWEEN = 50  # snapshots, where a call is one step

Run = Callable[[Chunk], dict[str, tf.Tensor]]


class NotFiniteError(UserError):
    """A quantity became NaN or infinite.

    Args:
        message: one line for the user.
        facts: for summary.json.
    """

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts = facts


class Watched:
    """A chunk function whose figures are looked at after every call.

    Steps are a function of state and number, so the first bad one is found by going through the last chunk again, a
    step at a time, from a snapshot of the weights that is taken before it; as long as all is well it costs next to
    nothing. The model is left as it was before that step.

    Args:
        model: whose weights `run` changes.
        run: trains on a chunk (`vae.data.training_chunks`) and returns the metrics' running means.

    Raises:
        NotFiniteError: by the call, with the step, the quantity and the last finite figures.
    """

    def __init__(self, model: VAE, run: Run) -> None:
        self._model = model
        self._run = run
        self._snapshot: list[tf.Tensor] = []
        self._chunks: list[Chunk] = []  # since the snapshot
        self._steps = 0

    def __call__(self, iterator: Iterator[Any]) -> dict[str, tf.Tensor]:
        """Trains on the next chunk."""
        chunk = next(iterator)
        if not self._chunks or self._steps >= STEPS_BETWEEN:
            self._snapshot, self._chunks, self._steps = self._state(), [], 0
        self._chunks.append(chunk)
        self._steps += int(chunk.length)
        figures = self._run(chunk)
        if _not_finite(figures):
            self._restore(self._snapshot)
            self._find()
        return figures

    def _find(self) -> None:
        """Goes through the chunks a step at a time, up to the first bad one."""
        last: dict[str, float] = {}
        for chunk in self._chunks:
            for place in range(int(chunk.length)):
                before = self._state()
                self._model.reset_metrics()
                step = chunk._replace(
                    indices=chunk.indices[place : place + 1],
                    first_step=chunk.first_step + place,
                    length=tf.ones_like(chunk.length),
                    weights=None if chunk.weights is None else chunk.weights[place : place + 1],
                )
                figures = self._run(step)
                bad = _not_finite(figures) or self._bad_weights()
                if bad:
                    self._restore(before)
                    raise _error(bad, int(chunk.first_step) + place, {**last})
                last = {name: float(value) for name, value in figures.items()}
        raise _error("a metric", self._steps, last)  # the sum of finite figures was not

    def _bad_weights(self) -> str | None:
        for variable in self._model.trainable_variables:
            if not np.isfinite(variable.numpy()).all():
                return f"the weight {variable.path}"
        return None

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def _state(self) -> list[tf.Tensor]:
        return [tf.convert_to_tensor(variable) for variable in self._variables()]

    def _restore(self, state: list[tf.Tensor]) -> None:
        for variable, value in zip(self._variables(), state, strict=True):
            variable.assign(value)


def _not_finite(figures: dict[str, Any]) -> str | None:
    """The first quantity that is not finite, causes before their consequences."""
    order = ("kl", "reconstruction", "regularizer", "elbo", "loss")
    return next((name for name in order if name in figures and not math.isfinite(float(figures[name]))), None)


def _error(quantity: str, step: int, last: dict[str, float]) -> NotFiniteError:
    shown = ", ".join(f"{name} {value:.6g}" for name, value in last.items()) or "none: it was the first step"
    return NotFiniteError(
        f"{quantity} became NaN or infinite in training step {step + 1}; the last finite figures: {shown}; "
        "try a smaller optimizer.learning_rate, or +optimizer.clipnorm=1",
        diverged={"quantity": quantity, "step": step + 1, "last": last},
    )
