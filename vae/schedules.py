"""Numbers that change during training, as functions of the step: a saved model needs no state for them.

They are Keras schedules: each can be a learning rate's, and any Keras schedule can be beta's.
"""

from typing import Any

import tensorflow as tf
from keras.optimizers import schedules

from vae.errors import UserError
from vae.options import Duration, Fraction, PositiveFloat, PositiveInt, Unit
from vae.saving import Configurable


class Schedule(Configurable, schedules.LearningRateSchedule):
    """Base class of this project's schedules: from `start` to `end` in `length` steps or epochs.

    A subclass defines `__call__(step)`. `steps` is the length in steps.

    Args:
        length: the duration of the change, in `unit`.
        start: the value at step 0.
        end: the value at the end of the change.
        unit: "steps" or "epochs", the unit of `length`.
        steps_per_epoch: the number of steps in an epoch, for `unit="epochs"`. `train.py` fills it in.

    Raises:
        UserError: if the unit is "epochs" and `steps_per_epoch` is None.
    """

    def __init__(
        self,
        length: Duration,
        start: float = 0.0,
        end: float = 1.0,
        unit: Unit = "steps",
        steps_per_epoch: PositiveInt | None = None,
    ) -> None:
        self.length = length
        self.start = float(start)  # TensorFlow takes its type from it
        self.end = float(end)
        self.unit = unit
        self.steps_per_epoch = steps_per_epoch
        if unit == "epochs" and steps_per_epoch is None:
            raise UserError("unit=epochs: needs steps_per_epoch; unit=steps does not")
        self.steps = length * (steps_per_epoch or 1) if unit == "epochs" else length


class Linear(Schedule):
    """A line from `start` to `end`, and `end` from then on.

    Sonderby et al. 2016, "Ladder variational autoencoders", raise the KL's weight from 0 to 1 in this way. Bowman et
    al. 2016, "Generating sentences from a continuous space", anneal it along a sigmoid instead.

    >>> [float(Linear(8)(step)) for step in (0, 2, 4, 8, 100)]
    [0.0, 0.25, 0.5, 1.0, 1.0]
    """

    def __call__(self, step: Any) -> tf.Tensor:
        """Return the value at a step, counted from 0: a float32 scalar."""
        return schedules.PolynomialDecay(self.start, self.steps, self.end)(step)


class Cosine(Schedule):
    """Half a cosine from `start` to `end`, slow at both ends, and `end` from then on."""

    def __call__(self, step: Any) -> tf.Tensor:
        """Return the value at a step, counted from 0: a float32 scalar."""
        # Keras's decays to a multiple of its start, which may be 0 here: the distance from the end decays to 0
        return self.end + schedules.CosineDecay(self.start - self.end, self.steps)(step)


class Exponential(Schedule):
    """A change from `start` to `end` by the same factor in each step, such as the annealing of a temperature.

    Jang, Gu and Poole 2017, "Categorical reparameterization with Gumbel-softmax".

    Args:
        length: the duration of the change, in `unit`.
        start: the value at step 0, above 0.
        end: the value at the end of the change, above 0.
        unit: "steps" or "epochs", the unit of `length`.
        steps_per_epoch: the number of steps in an epoch, for `unit="epochs"`. `train.py` fills it in.
    """

    def __init__(
        self,
        length: Duration,
        start: PositiveFloat,
        end: PositiveFloat = 1.0,
        unit: Unit = "steps",
        steps_per_epoch: PositiveInt | None = None,
    ) -> None:
        super().__init__(length, start, end, unit, steps_per_epoch)

    def __call__(self, step: Any) -> tf.Tensor:
        """Return the value at a step, counted from 0: a float32 scalar."""
        decay = schedules.ExponentialDecay(self.start, self.steps, self.end / self.start)
        return decay(tf.minimum(tf.cast(step, tf.float32), self.steps))  # Keras's does not stop


class Cyclical(Schedule):
    """Cycles: a line from `start` to `end`, and `end` for the rest of the cycle.

    Fu et al. 2019, "Cyclical annealing schedule: a simple approach to mitigating KL vanishing".

    >>> [float(Cyclical(8)(step)) for step in (0, 2, 4, 7, 8, 10)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5]

    Args:
        length: the duration of a cycle, in `unit`.
        start: the value at the beginning of a cycle.
        end: the value from the end of the line to the end of the cycle.
        rising: the part of a cycle that the line takes.
        unit: "steps" or "epochs", the unit of `length`.
        steps_per_epoch: the number of steps in an epoch, for `unit="epochs"`. `train.py` fills it in.
    """

    def __init__(
        self,
        length: Duration,
        start: float = 0.0,
        end: float = 1.0,
        rising: Fraction = 0.5,
        unit: Unit = "steps",
        steps_per_epoch: PositiveInt | None = None,
    ) -> None:
        super().__init__(length, start, end, unit, steps_per_epoch)
        self.rising = rising

    def __call__(self, step: Any) -> tf.Tensor:
        """Return the value at a step, counted from 0: a float32 scalar."""
        within = tf.math.floormod(tf.cast(step, tf.float32), self.steps)
        return schedules.PolynomialDecay(self.start, self.rising * self.steps, self.end)(within)
