"""Categorical and Bernoulli latent variables: exact divergences, relaxed samples for training."""

import math
from abc import abstractmethod
from typing import Any

import tensorflow as tf

from vae.latents.distribution import Distribution, LatentFamily
from vae.random import uniform_like
from vae.schedules import Exponential, Schedule

_HALF_A_STEP = 2.0**-25  # keeps a uniform number of 24 bits off 0


class Discrete(Distribution):
    """What Categorical and Bernoulli share: everything but how logits become probabilities and draws.

    Args:
        logits: `(batch, latents, classes)` or `(batch, latents)`, float32.
    """

    def __init__(self, logits: tf.Tensor) -> None:
        super().__init__(logits=logits)
        self.logits = logits

    @property
    @abstractmethod
    def log_vectors(self) -> tf.Tensor:
        """The logarithms of the probabilities of every value, `(batch, latents, values)`."""

    def sample(self, key: tf.Tensor, samples: int | None = None, batch: Any = None) -> tf.Tensor:
        """True draws, of entries 0 and 1. They have no gradient."""
        return self._flat(self._hard(self._perturbed(key, samples, batch)))

    def relaxed_sample(self, key: tf.Tensor, temperature: Any, straight_through: bool) -> tf.Tensor:
        """The draw with its step made soft, `(batch, z_size)`, differentiable by the logits.

        With `straight_through` the value is the true draw and the gradient the relaxed one's (Jang, Gu and Poole 2017,
        section 2.2).
        """
        perturbed = self._perturbed(key, None, None)
        relaxed = self._soft(perturbed / temperature)
        if straight_through:
            relaxed += tf.stop_gradient(self._hard(perturbed) - relaxed)
        return self._flat(relaxed)

    @abstractmethod
    def _perturbed(self, key: tf.Tensor, samples: int | None, batch: Any) -> tf.Tensor:
        """The logits plus the noise that makes `_hard` of them a draw."""

    @abstractmethod
    def _hard(self, perturbed: tf.Tensor) -> tf.Tensor:
        """The true draw, in the shape of the logits."""

    @abstractmethod
    def _soft(self, perturbed: tf.Tensor) -> tf.Tensor:
        """The relaxed draw, in the shape of the logits, for perturbed logits over the temperature."""

    def _flat(self, values: tf.Tensor) -> tf.Tensor:
        """Values in the shape of the logits as z, `(..., z_size)`."""
        return values

    def kl_divergence(self, other: Distribution) -> tf.Tensor:
        """The exact D[self || other] in nats, `(batch, latents)`: the sum of q log(q / p) over the values."""
        log_q, log_p = self.log_vectors, self._of_my_family(other).log_vectors
        return tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), axis=-1)

    def renyi_divergence(self, other: Distribution, alpha: float) -> tf.Tensor:
        """Renyi's D_alpha[self || other] in nats, `(batch, latents)` (van Erven and Harremoes 2014, equation 1)."""
        log_q, log_p = self.log_vectors, self._of_my_family(other).log_vectors
        return tf.reduce_logsumexp(alpha * log_q + (1.0 - alpha) * log_p, axis=-1) / (alpha - 1.0)

    def js_divergence(self, other: Distribution) -> tf.Tensor:
        """Jensen and Shannon's divergence in nats, `(batch, latents)`, at most log 2 (Lin 1991, section 4)."""
        log_q, log_p = self.log_vectors, self._of_my_family(other).log_vectors

        def half(one: tf.Tensor, another: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(tf.exp(one) * (math.log(2.0) - tf.nn.softplus(another - one)), axis=-1)

        return 0.5 * (half(log_q, log_p) + half(log_p, log_q))

    def probability_vectors(self, other: Distribution, support: str, points: int | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Both distributions' probabilities, `(batch, latents, values)`: exact, so they need no support."""
        log_q, log_p = self.log_vectors, self._of_my_family(other).log_vectors
        shape = tf.broadcast_dynamic_shape(tf.shape(log_q), tf.shape(log_p))
        return tf.broadcast_to(tf.exp(log_q), shape), tf.broadcast_to(tf.exp(log_p), shape)

    def pairwise_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Log q(z_i | x_j), summed over latent variables, `(rows of z, batch)`, in float64."""
        values = self._indicators(tf.cast(z, tf.float64))
        log_vectors = tf.cast(self.log_vectors, tf.float64)
        return tf.einsum("ilk,jlk->ij", values, log_vectors)

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """The log-probability of z, whose entries are 0 and 1, in nats, `(..., latents)`."""
        return tf.reduce_sum(self._indicators(z) * self.log_vectors, axis=-1)

    @abstractmethod
    def _indicators(self, z: tf.Tensor) -> tf.Tensor:
        """Z as `(..., latents, values)`: 1 for the value that it has."""


class Categorical(Discrete):
    """Independent choices among classes; z has them one-hot, variable after variable, `(batch, latents * classes)`.

    A draw is the largest of logits + Gumbel noise; relaxed it is the softmax of those over the temperature (Jang, Gu
    and Poole 2017, equation 2).

    Args:
        logits: `(batch, latents, classes)`, float32.
    """

    @property
    def log_vectors(self) -> tf.Tensor:
        """The logarithms of the probabilities, `(batch, latents, classes)`."""
        return tf.nn.log_softmax(self.logits)

    @property
    def mean(self) -> tf.Tensor:
        """The probabilities, `(batch, latents * classes)`."""
        return self._flat(tf.nn.softmax(self.logits))

    def _perturbed(self, key: tf.Tensor, samples: int | None, batch: Any) -> tf.Tensor:
        each = self if samples is None else self.with_sample_axis()
        shape = self._sample_shape(self.logits, samples, batch)
        uniform = uniform_like(tf.zeros(shape), key) + _HALF_A_STEP
        return tf.nn.log_softmax(each.logits) - tf.math.log(-tf.math.log(uniform))

    def _hard(self, perturbed: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(tf.argmax(perturbed, axis=-1), perturbed.shape[-1])

    def _soft(self, perturbed: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(perturbed)

    def _indicators(self, z: tf.Tensor) -> tf.Tensor:
        return tf.reshape(z, [*_dimensions(z)[:-1], *self.logits.shape[-2:]])

    def _flat(self, values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, [*_dimensions(values)[:-2], self.logits.shape[-2] * self.logits.shape[-1]])


class Bernoulli(Discrete):
    """Independent variables that are 1 with probability sigmoid(logit) and else 0.

    A draw is 1 where logit + logistic noise is above 0; relaxed it is the sigmoid of that over the temperature
    (Maddison, Mnih and Teh 2017, "The concrete distribution", section 3.2).

    Args:
        logits: `(batch, latents)`, float32.
    """

    @property
    def log_vectors(self) -> tf.Tensor:
        """The logarithms of the probabilities of 0 and of 1, `(batch, latents, 2)`."""
        return tf.stack([tf.math.log_sigmoid(-self.logits), tf.math.log_sigmoid(self.logits)], axis=-1)

    @property
    def mean(self) -> tf.Tensor:
        """The probability of 1, `(batch, latents)`."""
        return tf.sigmoid(self.logits)

    def _perturbed(self, key: tf.Tensor, samples: int | None, batch: Any) -> tf.Tensor:
        each = self if samples is None else self.with_sample_axis()
        uniform = uniform_like(tf.zeros(self._sample_shape(self.logits, samples, batch)), key) + _HALF_A_STEP
        return each.logits + tf.math.log(uniform) - tf.math.log1p(-uniform)

    def _hard(self, perturbed: tf.Tensor) -> tf.Tensor:
        return tf.cast(perturbed > 0.0, tf.float32)

    def _soft(self, perturbed: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(perturbed)

    def _indicators(self, z: tf.Tensor) -> tf.Tensor:
        return tf.stack([1.0 - z, z], axis=-1)


class DiscreteLatent(LatentFamily):
    """What the two discrete families share: the temperature of the samples that training relaxes.

    Args:
        size: the number of latent variables.
        temperature: at the first step, above 0.
        final_temperature: after `annealing_steps`, reached by the same factor each step; None for no annealing.
        annealing_steps: how many steps that takes.
        straight_through: whether the decoder sees true draws and only the gradient is the relaxed ones'.

    Raises:
        ValueError: for a temperature that is not above 0.
    """

    def __init__(
        self,
        size: int,
        temperature: float = 1.0,
        final_temperature: float | None = None,
        annealing_steps: float = 1000,
        straight_through: bool = False,
    ) -> None:
        for name, value in (("temperature", temperature), ("final_temperature", final_temperature)):
            if value is not None and not value > 0.0:
                raise ValueError(f"latent.{name}={value}: must be above 0")
        self.size = size
        self.temperature = temperature
        self.final_temperature = final_temperature
        self.annealing_steps = annealing_steps
        self.straight_through = straight_through

    def schedule(self) -> Schedule:
        """The temperature as a function of the step."""
        end = self.temperature if self.final_temperature is None else self.final_temperature
        return Exponential(self.annealing_steps, self.temperature, end)

    def training_sample(self, posterior: Any, key: tf.Tensor, step: Any) -> tf.Tensor:
        """The relaxed z of a training step, `(batch, z_size)`."""
        return posterior.relaxed_sample(key, self.schedule()(step), self.straight_through)


class CategoricalLatent(DiscreteLatent):
    """The family of categorical latent variables with a uniform prior.

    Args:
        size: the number of latent variables.
        classes: how many values each has.
        temperature, final_temperature, annealing_steps, straight_through: as for `DiscreteLatent`.

    Raises:
        ValueError: for fewer than two classes, or a temperature that is not above 0.
    """

    def __init__(
        self,
        size: int,
        classes: int = 10,
        temperature: float = 1.0,
        final_temperature: float | None = None,
        annealing_steps: float = 1000,
        straight_through: bool = False,
    ) -> None:
        super().__init__(size, temperature, final_temperature, annealing_steps, straight_through)
        if classes < 2:
            raise ValueError(f"latent.classes={classes}: must be 2 or more")
        self.classes = classes

    @property
    def parameter_count(self) -> int:
        """How many numbers the encoder gives for one example, its logits."""
        return self.size * self.classes

    @property
    def z_size(self) -> int:
        """How many numbers z has."""
        return self.size * self.classes

    def posterior(self, parameters: tf.Tensor) -> Categorical:
        """q(z|x) from the encoder's output `(batch, size * classes)`."""
        parameters = tf.cast(parameters, tf.float32)
        return Categorical(tf.reshape(parameters, [*_dimensions(parameters)[:-1], self.size, self.classes]))

    def prior(self) -> Categorical:
        """The uniform p(z)."""
        return Categorical(tf.zeros([1, self.size, self.classes]))

    def probe(self, batch_size: int, distance: float) -> Categorical:
        """A posterior whose first class has a logit larger by `distance`."""
        first = tf.one_hot(tf.zeros([batch_size, self.size], tf.int32), self.classes)
        return Categorical(distance * first)


class BernoulliLatent(DiscreteLatent):
    """The family of binary latent variables, 0 and 1 equally probable in the prior.

    Args:
        size: the number of latent variables.
        temperature, final_temperature, annealing_steps, straight_through: as for `DiscreteLatent`.

    Raises:
        ValueError: for a temperature that is not above 0.
    """

    @property
    def parameter_count(self) -> int:
        """How many numbers the encoder gives for one example, its logits."""
        return self.size

    @property
    def z_size(self) -> int:
        """How many numbers z has."""
        return self.size

    def posterior(self, parameters: tf.Tensor) -> Bernoulli:
        """q(z|x) from the encoder's output `(batch, size)`."""
        return Bernoulli(tf.cast(parameters, tf.float32))

    def prior(self) -> Bernoulli:
        """Probability 1/2."""
        return Bernoulli(tf.zeros([1, self.size]))

    def probe(self, batch_size: int, distance: float) -> Bernoulli:
        """A posterior whose logits are `distance`."""
        return Bernoulli(tf.fill([batch_size, self.size], distance))


def _dimensions(tensor: tf.Tensor) -> list[Any]:
    """The shape, as numbers where they are known."""
    return [size if size is not None else tf.shape(tensor)[axis] for axis, size in enumerate(tensor.shape)]
