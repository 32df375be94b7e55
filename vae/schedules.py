"""Numbers that change while training goes on, as functions of the step: nothing of them needs to be saved."""

import math
from abc import ABC, abstractmethod
from typing import Any

import tensorflow as tf

from vae.saving import Configurable


class Schedule(Configurable, ABC):
    """A function of the training step, usable inside a compiled program."""

    @abstractmethod
    def __call__(self, step: Any) -> tf.Tensor:
        """The value at a step (an integer or an integer scalar, counted from 0): a float32 scalar."""


class Linear(Schedule):
    """From `start` to `end` along a line, and `end` from then on.

    Bowman et al. 2016, "Generating sentences from a continuous space", section 3.1, anneal the KL's weight so.

    >>> [float(Linear(8)(step)) for step in (0, 2, 4, 8, 100)]
    [0.0, 0.25, 0.5, 1.0, 1.0]

    Args:
        length: over how many steps.
        start: the value at step 0.
        end: the value from step `length` on.

    Raises:
        ValueError: for a length below 1.
    """

    def __init__(self, length: float, start: float = 0.0, end: float = 1.0) -> None:
        self.length = _positive(length, "length")
        self.start = start
        self.end = end

    def __call__(self, step: Any) -> tf.Tensor:
        """The value at a step."""
        return self.start + (self.end - self.start) * self._risen(_share(step, self.length))

    def _risen(self, share: tf.Tensor) -> tf.Tensor:
        return share


class Cosine(Linear):
    """From `start` to `end` along half a cosine, slow at both ends. Arguments as for `Linear`."""

    def _risen(self, share: tf.Tensor) -> tf.Tensor:
        return 0.5 * (1.0 - tf.cos(math.pi * share))


class Exponential(Linear):
    """From `start` to `end` by the same factor each step, such as a temperature that is annealed.

    Jang, Gu and Poole 2017, "Categorical reparameterization with Gumbel-softmax", section 4.2. Arguments as for
    `Linear`; both values above 0.
    """

    def __call__(self, step: Any) -> tf.Tensor:
        """The value at a step."""
        return self.start * tf.pow(self.end / self.start, _share(step, self.length))


class Cyclical(Schedule):
    """Again and again from `start` to `end` along a line, and `end` for the rest of the cycle.

    Fu et al. 2019, "Cyclical annealing schedule: a simple approach to mitigating KL vanishing", equation 6.

    >>> [float(Cyclical(8)(step)) for step in (0, 2, 4, 7, 8, 10)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]

    Args:
        length: of a cycle, in steps.
        start: the value at a cycle's beginning.
        end: the value that it rises to.
        rising: the share of a cycle in which it rises, above 0 and at most 1.

    Raises:
        ValueError: for a length below 1 or another share.
    """

    def __init__(self, length: float, start: float = 0.0, end: float = 1.0, rising: float = 0.5) -> None:
        if not 0.0 < rising <= 1.0:
            raise ValueError(f"rising={rising}: must be above 0 and at most 1")
        self.length = _positive(length, "length")
        self.start = start
        self.end = end
        self.rising = rising

    def __call__(self, step: Any) -> tf.Tensor:
        """The value at a step."""
        within = tf.math.floormod(tf.cast(step, tf.float32), self.length)
        return self.start + (self.end - self.start) * _share(within, self.rising * self.length)


def _share(step: Any, length: float) -> tf.Tensor:
    return tf.clip_by_value(tf.cast(step, tf.float32) / length, 0.0, 1.0)


def _positive(length: float, name: str) -> float:
    if length < 1:
        raise ValueError(f"{name}={length}: must be 1 step or more")
    return length
