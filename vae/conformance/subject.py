"""A regularizer under test: its calls, the posteriors, and its values averaged over draws."""

import functools
import inspect
import math
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from vae.conformance.reference import Array, Gaussians
from vae.kl.arguments import Direction
from vae.kl.base import KLRegularizer
from vae.latents import Gaussian, GaussianLatent
from vae.random import Stream, key

CASES = (Gaussians.drawn(6, 5), Gaussians.drawn(4, 3), Gaussians.drawn(3, 7))  # sizes that distinguish reductions
FIRST_WEIGHTS = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 3.0])  # sample weights of the first case's examples
DRAWS = 400
ERRORS = 5.0  # the standard errors that a mean may be off: more once in two million by chance


class SkippedError(Exception):
    """A check that cannot be applied to this regularizer; the message is the reason."""


@dataclass(frozen=True)
class Estimate:
    """A mean over draws and its standard error, in nats; the error is 0 if nothing is drawn."""

    value: float
    error: float = 0.0

    def near(self, expected: float, tolerance: float, error: float = 0.0) -> bool:
        """Return True if this is the expected number, up to a tolerance and the standard errors of both.

        The tolerance is relative to the number, or to one nat if that is more.
        """
        allowed = tolerance * max(abs(expected), 1.0) + ERRORS * math.hypot(self.error, error)
        return abs(self.value - expected) <= allowed  # False if one of them is NaN

    def __str__(self) -> str:
        return f"{self.value:.4g}" + (f" ± {self.error:.1g}" if self.error else "")


class Subject:
    """A regularizer under test. All noise is a function of the number of the draw, so that checks can be repeated.

    Args:
        regularizer: the regularizer.
    """

    def __init__(self, regularizer: KLRegularizer) -> None:
        self.regularizer = regularizer
        direction = getattr(regularizer, "direction", "forward")
        self.direction = direction if direction in get_args(Direction) else "forward"
        self._in_graph = tf.function(self._values)

    def __call__(self, posterior: Gaussian, z: tf.Tensor, weight: Any = None, draw: Any = 0) -> Any:
        """Return the regularizer's result for the prior N(0, 1); `draw` is the number of its own samples."""
        prior = GaussianLatent(posterior.mu.shape[1]).prior()
        own_key = key(0, Stream.TRAINING_REGULARIZER, draw)
        return self.regularizer(posterior, prior, z, key=own_key, sample_weight=weight)

    def first(self, z_draw: int = 0, draw: int = 0) -> Any:
        """Return the regularizer's result for the first of `CASES`."""
        posterior = gaussian(CASES[0])
        return self(posterior, sample(posterior, z_draw), draw=draw)

    @functools.cached_property
    def is_usable(self) -> bool:
        """True if the result is one number; otherwise no other check has a meaning."""
        try:
            return tuple(np.shape(self.first())) == ()
        except Exception:  # a user's class may raise anything
            return False

    @functools.cached_property
    def draws_its_own(self) -> bool:
        """True if the value changes with the key of the regularizer's own samples, or from call to call."""
        return len({float(self.first(draw=draw)) for draw in (0, 0, 1, 2)}) > 1

    @functools.cached_property
    def samples(self) -> bool:
        """True for an estimate, whose value changes with its own samples or with z."""
        return self.draws_its_own or len({float(self.first(z_draw=draw)) for draw in (0, 1, 2)}) > 1

    def mean(self, case: Gaussians, draws: int = DRAWS) -> Estimate:
        """Return the value for these posteriors, averaged over z and over the regularizer's own samples."""
        return self._average(draws if self.samples else 1, case, np.arange(len(case.mu)), None)

    @functools.cached_property
    def on_cases(self) -> list[Estimate]:
        """The means for all of `CASES`."""
        return [self.mean(case) for case in CASES]

    def rows(self, rows: ArrayLike, weight: ArrayLike | None = None) -> Estimate:
        """Return the value for some rows of the first case and one z, averaged over the regularizer's own samples.

        Args:
            rows: the numbers of the rows, in their order.
            weight: their sample weights, or None.
        """
        return self._average(DRAWS if self.draws_its_own else 1, CASES[0], rows, weight)

    def in_direction(self, direction: str) -> "Subject":
        """Return the same regularizer in another direction.

        Raises:
            SkippedError: if the class does not have this direction.
        """
        if direction == self.direction:
            return self
        if "direction" not in inspect.signature(type(self.regularizer)).parameters:
            raise SkippedError("the class takes no direction")
        try:
            return Subject(type(self.regularizer)(**{**self.regularizer.get_config(), "direction": direction}))
        except ValueError as error:
            raise SkippedError(f"the class refuses this direction: {error}") from None

    def gradients(self, case: Gaussians) -> tuple[float, Array]:
        """Return the value, and its gradients with respect to mu and log_var, `(2, batch, latents)`."""
        posterior = gaussian(case)
        with tf.GradientTape() as tape:
            tape.watch([posterior.mu, posterior.log_var])
            value = tf.convert_to_tensor(self(posterior, sample(posterior)))
        gradients = tape.gradient(value, [posterior.mu, posterior.log_var], unconnected_gradients="zero")
        return float(value), np.array([np.asarray(gradient, np.float64) for gradient in gradients])

    def _average(self, draws: int, case: Gaussians, rows: ArrayLike, weight: ArrayLike | None) -> Estimate:
        run = self._values if draws == 1 else self._in_graph
        posterior = gaussian(case)
        weight = None if weight is None else tf.constant(weight, tf.float32)
        rows = tf.constant(rows, tf.int32)
        values = run(tf.constant(draws), posterior.mu, posterior.log_var, rows, weight).numpy()
        return Estimate(float(values.mean()), 0.0 if draws == 1 else float(values.std(ddof=1) / math.sqrt(draws)))

    def _values(self, draws: tf.Tensor, mu: tf.Tensor, log_var: tf.Tensor, rows: tf.Tensor, weight: Any) -> tf.Tensor:
        """Return the values of so many draws, `(draws,)`, in float64."""

        def value(draw: tf.Tensor) -> tf.Tensor:
            z = sample(Gaussian(mu, log_var), draw)
            posterior = Gaussian(tf.gather(mu, rows), tf.gather(log_var, rows))
            return tf.cast(self(posterior, tf.gather(z, rows), weight, draw), tf.float64)

        return tf.map_fn(value, tf.range(draws), fn_output_signature=tf.float64)


def gaussian(case: Gaussians) -> Gaussian:
    """Return the posteriors in float32, as a regularizer gets them."""
    return Gaussian(tf.constant(case.mu, tf.float32), tf.constant(case.log_var, tf.float32))


def sample(posterior: Gaussian, draw: Any = 0) -> tf.Tensor:
    """Return draw number `draw` of z, `(batch, latents)`."""
    return posterior.sample(key(0, Stream.TRAINING_POSTERIOR, draw))
