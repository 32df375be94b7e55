"""A regularizer under test: its calls, the posteriors, and its values averaged over draws."""

import functools
import inspect
import math
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from vae.conformance.reference import DIVERGENCES, Array, Gaussians, canonical
from vae.kl.arguments import Direction
from vae.kl.base import KLRegularizer
from vae.latents import Gaussian, GaussianLatent
from vae.random import Stream, key

CASES = (Gaussians.drawn(6, 5), Gaussians.drawn(4, 3), Gaussians.drawn(3, 7))  # sizes that distinguish reductions
FIRST_WEIGHTS = np.array([0.0, 1.0, 2.0, 0.5, 0.0, 3.0])  # sample weights of the first case's examples
DRAWS = 400
AGREES = 0.01  # the relative difference from the exact value: without clipping, Keras's on the supports is smaller
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
        return f"{self.value:.4g}" + (f" (error {self.error:.1g})" if self.error else "")


class Subject:
    """A regularizer under test. All noise is a function of the number of the draw, so that checks can be repeated.

    Args:
        regularizer: the regularizer.
    """

    def __init__(self, regularizer: KLRegularizer) -> None:
        self.regularizer = regularizer
        direction = getattr(regularizer, "direction", "forward")
        self.direction = direction if direction in get_args(Direction) else "forward"
        self._variants: dict[tuple[str, Any], Subject] = {}
        self._in_graph = tf.function(self._values, autograph=False)
        self._gradients_in_graph = tf.function(self._gradients, autograph=False)

    def __call__(
        self,
        posterior: Gaussian,
        z: tf.Tensor,
        weight: Any = None,
        draw: Any = 0,
        stream: Stream = Stream.TRAINING_REGULARIZER,
    ) -> Any:
        """Return the regularizer's result for the prior N(0, 1); `stream` and `draw` make the key of its samples."""
        prior = GaussianLatent(posterior.mu.shape[1]).prior()
        return self.regularizer(posterior, prior, z, key=key(0, stream, draw), sample_weight=weight)

    def first(self, z_draw: int = 0, draw: int = 0, stream: Stream = Stream.TRAINING_REGULARIZER) -> Any:
        """Return the regularizer's result for the first of `CASES`."""
        posterior = gaussian(CASES[0])
        return self(posterior, sample(posterior, z_draw), draw=draw, stream=stream)

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
    def uses_z(self) -> bool:
        """True if the value changes with z, or from call to call."""
        return len({float(self.first(z_draw=draw)) for draw in (0, 1, 2)}) > 1

    @property
    def samples(self) -> bool:
        """True for an estimate, whose value changes with its own samples or with z."""
        return self.draws_its_own or self.uses_z

    def mean(self, case: Gaussians, draws: int = DRAWS) -> Estimate:
        """Return the value for these posteriors, averaged over z and over the regularizer's own samples."""
        return self._average(draws if self.samples else 1, case, np.arange(len(case.mu)), None)

    @functools.cached_property
    def on_cases(self) -> list[Estimate]:
        """The means for all of `CASES`."""
        return [self.mean(case) for case in CASES]

    @functools.cached_property
    def agrees(self) -> bool:
        """True if the values for all of `CASES` are the exact KL in this subject's direction."""
        exact = [canonical(DIVERGENCES[self.direction](case)) for case in CASES]
        return all(mean.near(value, AGREES) for mean, value in zip(self.on_cases, exact, strict=True))

    def rows(self, rows: ArrayLike, weight: ArrayLike | None = None, case: Gaussians = CASES[0]) -> Estimate:
        """Return the value for some rows of a case and one z, averaged over the regularizer's own samples.

        Args:
            rows: the numbers of the rows, in their order.
            weight: their sample weights, or None.
            case: the posteriors; the first of `CASES` by default.
        """
        return self._average(DRAWS if self.draws_its_own else 1, case, rows, weight)

    def draws(self, count: int, apart: int = 0) -> Array:
        """Return the values of several draws for the first of `CASES`, `(count,)`.

        Args:
            count: the number of draws of z.
            apart: the difference between the numbers of a draw of the regularizer's own and of its z.
        """
        posterior = gaussian(CASES[0])
        every_row = tf.range(len(CASES[0].mu))
        values = self._in_graph(
            tf.constant(count), posterior.mu, posterior.log_var, every_row, None, apart=tf.constant(apart)
        )
        return np.asarray(values)

    def in_direction(self, direction: str) -> "Subject":
        """Return the same regularizer in another direction.

        Raises:
            SkippedError: if the class does not have this direction.
        """
        return self if direction == self.direction else self.variant("direction", direction)

    def variant(self, name: str, value: Any) -> "Subject":
        """Return the same regularizer with another value of one of its constructor's arguments.

        Raises:
            SkippedError: if the class does not take the argument, or not the value.
        """
        if name not in inspect.signature(type(self.regularizer)).parameters:
            raise SkippedError(f"the class takes no {name}")
        config = self.regularizer.get_config()
        if config.get(name) == value:
            return self
        if (name, value) not in self._variants:
            try:
                other = type(self.regularizer)(**{**config, name: value})
            except ValueError as error:
                raise SkippedError(f"the class refuses {name}={value}: {error}") from None
            self._variants[name, value] = Subject(other)
        return self._variants[name, value]

    def gradients(self, case: Gaussians, weight: ArrayLike | None = None) -> tuple[float, Array]:
        """Return the value, and its gradients with respect to mu and log_var, `(2, batch, latents)`."""
        posterior = gaussian(case)
        value, gradients = self._differentiated(
            posterior, 0, None if weight is None else tf.constant(weight, tf.float32)
        )
        return float(value), np.asarray(gradients, np.float64)

    def mean_gradients(self, case: Gaussians) -> tuple[Array, Array]:
        """Return the gradients with respect to mu and log_var, averaged over draws, and the standard errors.

        Both are `(2, batch, latents)`; the errors are 0 if nothing is drawn.
        """
        draws, posterior = (DRAWS if self.samples else 1), gaussian(case)
        drawn = np.asarray(self._gradients_in_graph(tf.constant(draws), posterior.mu, posterior.log_var), np.float64)
        errors = drawn.std(axis=0, ddof=1) / math.sqrt(draws) if draws > 1 else np.zeros_like(drawn[0])
        return drawn.mean(axis=0), errors

    def _average(self, draws: int, case: Gaussians, rows: ArrayLike, weight: ArrayLike | None) -> Estimate:
        run = self._values if draws == 1 else self._in_graph
        posterior = gaussian(case)
        weight = None if weight is None else tf.constant(weight, tf.float32)
        rows = tf.constant(rows, tf.int32)
        values = run(tf.constant(draws), posterior.mu, posterior.log_var, rows, weight).numpy()
        return Estimate(float(values.mean()), 0.0 if draws == 1 else float(values.std(ddof=1) / math.sqrt(draws)))

    def _values(
        self, draws: tf.Tensor, mu: tf.Tensor, log_var: tf.Tensor, rows: tf.Tensor, weight: Any, apart: Any = 0
    ) -> tf.Tensor:
        """Return the values of so many draws, `(draws,)`, in float64."""

        def value(draw: tf.Tensor) -> tf.Tensor:
            z = sample(Gaussian(mu, log_var), draw)
            posterior = Gaussian(tf.gather(mu, rows), tf.gather(log_var, rows))
            return tf.cast(self(posterior, tf.gather(z, rows), weight, draw + apart), tf.float64)

        return tf.map_fn(value, tf.range(draws), fn_output_signature=tf.float64)

    def _gradients(self, draws: tf.Tensor, mu: tf.Tensor, log_var: tf.Tensor) -> tf.Tensor:
        """Return the gradients of so many draws, `(draws, 2, batch, latents)`."""

        def gradients(draw: tf.Tensor) -> tf.Tensor:
            return self._differentiated(Gaussian(mu, log_var), draw)[1]

        return tf.map_fn(gradients, tf.range(draws), fn_output_signature=tf.float32)

    def _differentiated(self, posterior: Gaussian, draw: Any, weight: Any = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the value, and its gradients with respect to mu and log_var, `(2, batch, latents)`."""
        parameters = [posterior.mu, posterior.log_var]
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            value = tf.convert_to_tensor(self(posterior, sample(posterior, draw), weight, draw))
        return value, tf.stack(tape.gradient(value, parameters, unconnected_gradients="zero"))


def gaussian(case: Gaussians) -> Gaussian:
    """Return the posteriors in float32, as a regularizer gets them."""
    return Gaussian(tf.constant(case.mu, tf.float32), tf.constant(case.log_var, tf.float32))


def sample(posterior: Gaussian, draw: Any = 0) -> tf.Tensor:
    """Return draw number `draw` of z, `(batch, latents)`."""
    return posterior.sample(key(0, Stream.TRAINING_POSTERIOR, draw))
