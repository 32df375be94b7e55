"""The first step that is not finite is found by going back to a snapshot, wherever it is in a chunk."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from vae.data import Chunk
from vae.errors import NonFiniteError
from vae.training.non_finite import STEPS_BETWEEN_SNAPSHOTS, NonFiniteWatch


class Counting:
    """In place of a model: its weight and its metric are the number of steps so far, until something breaks.

    Args:
        breaks_at: number of the step that breaks, counted from 0.
        broken: what becomes NaN there, "kl" or "weight".
    """

    def __init__(self, breaks_at: int, broken: str, first_step: int) -> None:
        self.weight = keras.Variable(float(first_step), name="count")
        self.variables = self.trainable_variables = [self.weight]
        self.optimizer = SimpleNamespace(variables=[])
        self._breaks_at = breaks_at
        self._broken = broken
        self._of_steps: list[float] = []

    def reset_metrics(self) -> None:
        self._of_steps = []

    def train(self, chunk: Chunk) -> dict[str, Any]:
        for step in range(int(chunk.first_step), int(chunk.first_step + chunk.length)):
            breaks = step == self._breaks_at
            self._of_steps.append(float("nan") if breaks and self._broken == "kl" else float(self.weight.numpy()))
            self.weight.assign(float("nan") if breaks and self._broken == "weight" else self.weight + 1)
        return {"kl": np.mean(self._of_steps)}


def train(model: Any, run: Callable[[Chunk], dict[str, Any]], first_step: int, length: int) -> None:
    """Train for 300 steps, in chunks of so many, under the watch."""
    images, indices = tf.zeros((1, 1, 1, 1), tf.uint8), tf.zeros((length, 1), tf.int32)
    steps = range(first_step, first_step + 300, length)
    chunks = (Chunk(images, indices, tf.constant(first), tf.constant(length)) for first in steps)
    watch = NonFiniteWatch(model, run)
    for _ in steps:
        watch(chunks)


@pytest.mark.parametrize("broken", ["kl", "weight"])
@pytest.mark.parametrize("first_step", [0, 1000])
@pytest.mark.parametrize(
    ("length", "breaks_at"), [(1, 0), (1, 49), (1, 50), (4, 17), (4, 199), (7, 49), (7, 55), (60, 59), (60, 130)]
)
def test_it_is_named_and_the_model_is_that_before_it(length: int, breaks_at: int, first_step: int, broken: str) -> None:
    steps_since_snapshot = breaks_at % (length * math.ceil(STEPS_BETWEEN_SNAPSHOTS / length))
    breaks_at += first_step
    model = Counting(breaks_at, broken, first_step)
    with pytest.raises(NonFiniteError, match=f"training step {breaks_at + 1};") as caught:
        train(model, model.train, first_step, length)
    diverged = caught.value.facts["diverged"]
    assert diverged["step"] == breaks_at + 1
    assert diverged["quantity"] == ("kl" if broken == "kl" else f"the weight {model.weight.path}")
    assert diverged["last"] == ({"kl": breaks_at - 1} if steps_since_snapshot else {})
    assert float(model.weight.numpy()) == breaks_at


def test_a_mean_of_finite_values_that_is_infinite_is_of_its_last_step() -> None:
    model = Counting(-1, "", 0)

    def means(chunk: Chunk) -> dict[str, Any]:
        model.train(chunk)
        return {"kl": float("inf") if chunk.length == 4 and chunk.first_step == 100 else 1.0}

    with pytest.raises(NonFiniteError, match="kl became NaN or infinite in training step 104;"):
        train(model, means, 0, 4)
