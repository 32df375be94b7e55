"""Categorical and Bernoulli latent variables: exact divergences, relaxed samples for training."""

import math
from abc import abstractmethod
from typing import Any, Self

import tensorflow as tf

from vae.latents.distribution import Distribution, LatentFamily
from vae.options import AtLeastTwo, Duration, PositiveFloat, PositiveInt, Unit, Width
from vae.random import Key, uniform_like
from vae.schedules import Exponential, Schedule

_HALF_A_STEP = 2.0**-25  # keeps a uniform number of 24 bits off 0


class Discrete(Distribution):
    """Base class of Categorical and Bernoulli, which define the probabilities and draws for given logits.

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

    def sample(self, key: Key, samples: int | None = None, batch: Any = None) -> tf.Tensor:
        """Return true draws, of entries 0 and 1. They have no gradient."""
        return self._flat(self._hard(self._perturbed(key, samples, batch)))

    def relaxed_sample(self, key: Key, temperature: Any, straight_through: bool) -> tf.Tensor:
        """Return relaxed draws, `(batch, z_size)`, differentiable with respect to the logits.

        With `straight_through` the value is the true draw and the gradient that of the relaxed one (Jang, Gu and Poole
        2017, "Categorical reparameterization with Gumbel-softmax").
        """
        perturbed = self._perturbed(key, None, None)
        relaxed = self._soft(perturbed / temperature)
        if straight_through:
            relaxed += tf.stop_gradient(self._hard(perturbed) - relaxed)
        return self._flat(relaxed)

    @abstractmethod
    def _perturbed(self, key: Key, samples: int | None, batch: Any) -> tf.Tensor:
        """Return the logits plus noise, of which `_hard` gives a true draw."""

    @abstractmethod
    def _hard(self, perturbed: tf.Tensor) -> tf.Tensor:
        """Return the true draw, in the shape of the logits."""

    @abstractmethod
    def _soft(self, perturbed: tf.Tensor) -> tf.Tensor:
        """Return the relaxed draw, in the shape of the logits, for perturbed logits over the temperature."""

    def _flat(self, values: tf.Tensor) -> tf.Tensor:
        """Return values in the shape of the logits as z, `(..., z_size)`."""
        return values

    def kl_divergence(self, other: Distribution) -> tf.Tensor:
        """Return the exact D[self || other] in nats, `(batch, latents)`: the sum of q log(q / p) over the values."""
        log_q, log_p = self.log_vectors, self._same_family(other).log_vectors
        return tf.reduce_sum(tf.exp(log_q) * (log_q - log_p), axis=-1)

    def renyi_divergence(self, other: Distribution, alpha: float) -> tf.Tensor:
        """Return the Renyi D_alpha[self || other] in nats, `(batch, latents)` (van Erven and Harremoes 2014)."""
        log_q, log_p = self.log_vectors, self._same_family(other).log_vectors
        return tf.reduce_logsumexp(alpha * log_q + (1.0 - alpha) * log_p, axis=-1) / (alpha - 1.0)

    def js_divergence(self, other: Distribution) -> tf.Tensor:
        """Return the Jensen-Shannon divergence in nats, `(batch, latents)`, at most log 2 (Lin 1991)."""
        log_q, log_p = self.log_vectors, self._same_family(other).log_vectors

        def half(one: tf.Tensor, another: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(tf.exp(one) * (math.log(2.0) - tf.nn.softplus(another - one)), axis=-1)

        return 0.5 * (half(log_q, log_p) + half(log_p, log_q))

    def probability_vectors(self, other: Distribution, support: str, points: int | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Return both distributions' probabilities, `(batch, latents, values)`: exact, without a support."""
        log_q, log_p = self.log_vectors, self._same_family(other).log_vectors
        shape = tf.broadcast_dynamic_shape(tf.shape(log_q), tf.shape(log_p))
        return tf.broadcast_to(tf.exp(log_q), shape), tf.broadcast_to(tf.exp(log_p), shape)

    def pairwise_log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Return log q(z_i | x_j), summed over latent variables, `(rows of z, batch)`, in float64."""
        values = self._indicators(tf.cast(z, tf.float64))
        log_vectors = tf.cast(self.log_vectors, tf.float64)
        return tf.einsum("ilk,jlk->ij", values, log_vectors)

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Return the log-probability of z, whose entries are 0 and 1, in nats, `(..., latents)`."""
        return tf.reduce_sum(self._indicators(z) * self.log_vectors, axis=-1)

    @abstractmethod
    def _indicators(self, z: tf.Tensor) -> tf.Tensor:
        """Return z as `(..., latents, values)`, with 1 for the value of each variable."""


class Categorical(Discrete):
    """Independent choices among classes. Z holds them one-hot, variable after variable, `(batch, latents * classes)`.

    A draw is the largest of logits + Gumbel noise; relaxed it is the softmax of those over the temperature (Jang, Gu
    and Poole 2017, "Categorical reparameterization with Gumbel-softmax").

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

    def _perturbed(self, key: Key, samples: int | None, batch: Any) -> tf.Tensor:
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

    A draw is 1 if logit + logistic noise is above 0; relaxed it is the sigmoid of that over the temperature
    (Maddison, Mnih and Teh 2017, "The concrete distribution").

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

    def _perturbed(self, key: Key, samples: int | None, batch: Any) -> tf.Tensor:
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
    """Base class of the two discrete families: the temperature of the samples that training relaxes.

    Args:
        size: the number of latent variables.
        temperature: the temperature of the relaxed samples at the first step.
        final_temperature: the temperature after `annealing`, reached by the same factor in each step; None for a
            constant temperature.
        annealing: the duration of the annealing, in `unit`.
        straight_through: whether the decoder sees true draws, and only the gradient is that of the relaxed ones.
        unit: "steps" or "epochs", the unit of `annealing`.
        steps_per_epoch: the number of steps in an epoch, for `unit="epochs"`. `train.py` fills it in.

    Raises:
        UserError: if the unit is "epochs" and `steps_per_epoch` is None.
    """

    def __init__(
        self,
        size: Width,
        temperature: PositiveFloat = 1.0,
        final_temperature: PositiveFloat | None = None,
        annealing: Duration = 1000,
        straight_through: bool = False,
        unit: Unit = "steps",
        steps_per_epoch: PositiveInt | None = None,
    ) -> None:
        self.size = size
        self.temperature = temperature
        self.final_temperature = final_temperature
        self.annealing = annealing
        self.straight_through = straight_through
        self.unit = unit
        self.steps_per_epoch = steps_per_epoch
        end = temperature if final_temperature is None else final_temperature
        self._schedule = Exponential(annealing, temperature, end, unit, steps_per_epoch)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Return a new family from the result of `get_config`, also from that of version 0.1.0."""
        renamed = {"annealing_steps": "annealing"}
        return cls(**{renamed.get(name, name): value for name, value in config.items()})

    def schedule(self) -> Schedule:
        """Return the temperature as a function of the step."""
        return self._schedule

    @property
    def is_relaxed(self) -> bool:
        """True unless the decoder sees true draws."""
        return not self.straight_through

    def training_sample(self, posterior: Any, key: Key, step: Any) -> tf.Tensor:
        """Return the relaxed z of a training step, `(batch, z_size)`."""
        return posterior.relaxed_sample(key, self.schedule()(step), self.straight_through)


class CategoricalLatent(DiscreteLatent):
    """The family of categorical latent variables with a uniform prior.

    Args:
        size: the number of latent variables.
        classes: the number of values of each variable.
        temperature: the temperature of the relaxed samples at the first step.
        final_temperature: the temperature after `annealing`, reached by the same factor in each step; None for a
            constant temperature.
        annealing: the duration of the annealing, in `unit`.
        straight_through: whether the decoder sees true draws, and only the gradient is that of the relaxed ones.
        unit: "steps" or "epochs", the unit of `annealing`.
        steps_per_epoch: the number of steps in an epoch, for `unit="epochs"`. `train.py` fills it in.
    """

    def __init__(
        self,
        size: Width,
        classes: AtLeastTwo = 10,
        temperature: PositiveFloat = 1.0,
        final_temperature: PositiveFloat | None = None,
        annealing: Duration = 1000,
        straight_through: bool = False,
        unit: Unit = "steps",
        steps_per_epoch: PositiveInt | None = None,
    ) -> None:
        super().__init__(size, temperature, final_temperature, annealing, straight_through, unit, steps_per_epoch)
        self.classes = classes

    @property
    def parameter_count(self) -> int:
        """The number of parameters of one example, its logits."""
        return self.size * self.classes

    @property
    def z_size(self) -> int:
        """The number of values in z."""
        return self.size * self.classes

    def posterior(self, parameters: tf.Tensor) -> Categorical:
        """Return q(z|x) for the encoder's output `(batch, size * classes)`."""
        parameters = tf.cast(parameters, tf.float32)
        return Categorical(tf.reshape(parameters, [*_dimensions(parameters)[:-1], self.size, self.classes]))

    def prior(self) -> Categorical:
        """Return the uniform p(z)."""
        return Categorical(tf.zeros([1, self.size, self.classes]))


class BernoulliLatent(DiscreteLatent):
    """The family of binary latent variables; in the prior, 0 and 1 have the same probability."""

    @property
    def parameter_count(self) -> int:
        """The number of parameters of one example, its logits."""
        return self.size

    @property
    def z_size(self) -> int:
        """The number of values in z."""
        return self.size

    def posterior(self, parameters: tf.Tensor) -> Bernoulli:
        """Return q(z|x) for the encoder's output `(batch, size)`."""
        return Bernoulli(tf.cast(parameters, tf.float32))

    def prior(self) -> Bernoulli:
        """Return p(z), of probability 1/2."""
        return Bernoulli(tf.zeros([1, self.size]))


def _dimensions(tensor: tf.Tensor) -> list[Any]:
    """Return the shape, with Python numbers for the sizes that are known."""
    return [size if size is not None else tf.shape(tensor)[axis] for axis, size in enumerate(tensor.shape)]
