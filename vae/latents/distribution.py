"""Base classes of the distributions over latent variables, and of the families of latent variables."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import tensorflow as tf

from vae.errors import UserError
from vae.random import Key
from vae.saving import Configurable
from vae.schedules import Schedule


class Distribution(ABC):
    """Independent distributions, one per example and latent variable.

    Args:
        **parameters: the arguments of the subclass's constructor by name, `(batch, ...)` each.
    """

    factorized: ClassVar[bool] = True  # whether log_prob has a value for each latent variable

    def __init__(self, **parameters: tf.Tensor) -> None:
        self.parameters = parameters

    @property
    def shape(self) -> tf.Tensor:
        """(batch, latents), an integer tensor."""
        return tf.shape(next(iter(self.parameters.values())))[:2]

    @property
    @abstractmethod
    def mean(self) -> tf.Tensor:
        """The mean of z, `(batch, z_size)`."""

    @abstractmethod
    def sample(self, key: Key, samples: int | None = None, batch: Any = None) -> tf.Tensor:
        """Return draws of z.

        Args:
            key: the key of the draws.
            samples: the number of draws for each example; None for one draw without an axis of its own.
            batch: the number of examples, if these distributions are one for all of them, as a prior is; None for the
                distributions' own number.

        Returns:
            `(batch, z_size)`, or `(batch, samples, z_size)`.
        """

    @abstractmethod
    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Return the log-density or log-probability of z in nats, for each latent variable."""

    def kl_divergence(self, other: "Distribution") -> tf.Tensor:
        """Return the exact D[self || other] in nats, `(batch, latents)`.

        Raises:
            UserError: if there is no closed form.
        """
        raise self._no_closed_form(other)

    def renyi_divergence(self, other: "Distribution", alpha: float) -> tf.Tensor:
        """Return the Renyi divergence D_alpha[self || other] in nats, `(batch, latents)`.

        Raises:
            UserError: if there is no closed form.
        """
        raise self._no_closed_form(other)

    def js_divergence(self, other: "Distribution") -> tf.Tensor:
        """Return the Jensen-Shannon divergence in nats, `(batch, latents)`.

        Raises:
            UserError: if it cannot be computed for these distributions.
        """
        raise self._no_closed_form(other)

    def probability_vectors(
        self, other: "Distribution", support: str, points: int | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the probability vectors for D[self || other]: two tensors `(batch, latents, points)`.

        Args:
            other: the second distribution.
            support: "quadrature" or "histogram" (`vae.latents.support`).
            points: nodes of the quadrature or bins of the histogram; None for the support's own default.

        Raises:
            UserError: if these distributions have none.
        """
        raise self._no_closed_form(other)

    def with_sample_axis(self) -> Self:
        """Return the same distributions for z of `(batch, samples, z_size)`."""
        return type(self)(**{name: value[:, tf.newaxis] for name, value in self.parameters.items()})

    def _same_family(self, other: "Distribution") -> Any:
        """Return the other distribution if it is of the same class; raise a UserError if not."""
        if type(other) is not type(self):
            raise self._no_closed_form(other)
        return other

    def _no_closed_form(self, other: "Distribution") -> UserError:
        return UserError(
            f"the divergence of {type(self).__name__} and {type(other).__name__} has no closed form; "
            "kl=monte_carlo estimates it"
        )

    @staticmethod
    def _sample_shape(parameter: tf.Tensor, samples: int | None, batch: Any) -> list[Any]:
        rows = (parameter.shape[0] or tf.shape(parameter)[0]) if batch is None else batch
        return [rows, *([] if samples is None else [samples]), *parameter.shape[1:]]


class LatentFamily(Configurable, ABC):
    """Base class of the choices of the group `latent`: the posterior from an encoder's output, and the usual prior.

    A subclass keeps the number of latent variables in the attribute `size`.
    """

    size: int

    @property
    @abstractmethod
    def parameter_count(self) -> int:
        """The number of parameters that the encoder gives for one example."""

    @property
    @abstractmethod
    def z_size(self) -> int:
        """The number of values in z, the decoder's input."""

    @abstractmethod
    def posterior(self, parameters: tf.Tensor) -> Any:
        """Return q(z|x) in float32 for the encoder's output `(batch, parameter_count)`, whatever its precision."""

    @abstractmethod
    def prior(self) -> Any:
        """Return the family's own p(z): parameters of one row, which broadcast against any posterior."""

    def probe(self, batch_size: int, distance: float) -> Any:
        """Return an artificial posterior `(batch_size, ...)` on which regularizers are compared before training.

        It equals the prior at distance 0. Its parameters differ between examples and latent variables, because a term
        that is a multiple of the KL for one posterior need not be one for several.

        Args:
            batch_size: the number of examples.
            distance: the largest distance of a parameter from the prior's.
        """
        return self.posterior(distance * spread([batch_size, self.parameter_count]))

    def training_sample(self, posterior: Any, key: Key, step: Any) -> tf.Tensor:
        """Return the z of a training step, `(batch, z_size)`, differentiable with respect to the parameters."""
        return posterior.sample(key)

    @property
    def is_relaxed(self) -> bool:
        """True if the z of a training step is not a draw of the posterior, so that its reconstruction is no ELBO's."""
        return False

    def schedule(self) -> Schedule | None:
        """Return the temperature as a function of the step, or None if the family has no temperature."""
        return None


def spread(shape: Sequence[int], ratio: float = (math.sqrt(5.0) - 1.0) / 2.0) -> tf.Tensor:
    """Return numbers that fill (-1, 1) evenly, the same in each call: the fractional parts of multiples of a ratio.

    Args:
        shape: the shape.
        ratio: an irrational number; with another one the numbers are as even, and unrelated.
    """
    parts = (0.25 + ratio * np.arange(math.prod(shape))) % 1.0
    return tf.constant(2.0 * parts.reshape(shape) - 1.0, tf.float32)


def kl_per_example(posterior: Distribution, prior: Distribution, z: tf.Tensor) -> tf.Tensor:
    """Return D[q || p] in nats, `(batch,)`: exact, or if there is no closed form, its estimate from the sample z."""
    if type(posterior) is type(prior):
        return tf.reduce_sum(posterior.kl_divergence(prior), axis=-1)
    return tf.reduce_sum(posterior.log_prob(z), axis=-1) - tf.reduce_sum(prior.log_prob(z), axis=-1)
