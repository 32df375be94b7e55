"""What every distribution over latent variables, and every family of them, can do."""

from abc import ABC, abstractmethod
from typing import Any, Self

import tensorflow as tf

from vae.errors import UserError
from vae.saving import Configurable
from vae.schedules import Schedule


class Distribution(ABC):
    """Independent distributions, one per example and latent variable.

    Args:
        parameters: by the names of the constructor's arguments, `(batch, ...)` each.
    """

    factorized = True  # whether log_prob has a value for each latent variable

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
    def sample(self, key: tf.Tensor, samples: int | None = None, batch: Any = None) -> tf.Tensor:
        """Draws z.

        Args:
            key: of the noise (`vae.random.normal_like`).
            samples: how many for each example; None for one, without an axis of its own.
            batch: for how many examples, where these distributions are one for all, as a prior is; None for its own.

        Returns:
            `(batch, z_size)`, or `(batch, samples, z_size)`.
        """

    @abstractmethod
    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """The log-density or log-probability of z in nats, for each latent variable."""

    @abstractmethod
    def kl_divergence(self, other: "Distribution") -> tf.Tensor:
        """The exact D[self || other] in nats, `(batch, latents)`.

        Raises:
            UserError: where there is no closed form.
        """

    def with_sample_axis(self) -> Self:
        """The same distributions, for z of `(batch, samples, z_size)`."""
        return type(self)(**{name: value[:, tf.newaxis] for name, value in self.parameters.items()})

    def _of_my_family(self, other: "Distribution") -> Any:
        if type(other) is not type(self):
            raise UserError(
                f"the divergence of {type(self).__name__} and {type(other).__name__} has no closed form; "
                "kl=monte_carlo estimates it"
            )
        return other

    @staticmethod
    def _sample_shape(parameter: tf.Tensor, samples: int | None, batch: Any) -> list[Any]:
        rows = (parameter.shape[0] or tf.shape(parameter)[0]) if batch is None else batch
        return [rows, *([] if samples is None else [samples]), *parameter.shape[1:]]


class LatentFamily(Configurable, ABC):
    """How an encoder's output becomes a posterior, and which prior is the family's own."""

    size: int

    @property
    @abstractmethod
    def parameter_count(self) -> int:
        """How many numbers the encoder gives for one example."""

    @property
    @abstractmethod
    def z_size(self) -> int:
        """How many numbers z has, which the decoder takes."""

    @abstractmethod
    def posterior(self, parameters: tf.Tensor) -> Any:
        """q(z|x) from the encoder's output `(batch, parameter_count)`, in float32 whatever its precision."""

    @abstractmethod
    def prior(self) -> Any:
        """The family's own p(z): parameters of one row, which broadcast against any posterior."""

    @abstractmethod
    def probe(self, batch_size: int, distance: float) -> Any:
        """A posterior `(batch_size, ...)` that moves away from the prior with `distance`, and is equal to it at 0."""

    def training_sample(self, posterior: Any, key: tf.Tensor, step: Any) -> tf.Tensor:
        """The z that the decoder sees in a training step, `(batch, z_size)`: differentiable by the parameters."""
        return posterior.sample(key)

    def schedule(self) -> Schedule | None:
        """The temperature as a function of the step, where the family has one."""
        return None


def kl_per_example(posterior: Distribution, prior: Distribution, z: tf.Tensor) -> tf.Tensor:
    """D[q || p] in nats, `(batch,)`: exact, or where there is no closed form its estimate from the sample z."""
    if type(posterior) is type(prior):
        return tf.reduce_sum(posterior.kl_divergence(prior), axis=-1)
    return tf.reduce_sum(posterior.log_prob(z), axis=-1) - tf.reduce_sum(prior.log_prob(z), axis=-1)
