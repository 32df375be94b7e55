"""Priors: the latent family's own, and two learned ones."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from vae.errors import UserError
from vae.latents.distribution import Distribution, LatentFamily
from vae.latents.gaussian import Gaussian, GaussianLatent
from vae.options import Count
from vae.random import Key, fold_in, normal_like, uniform_like
from vae.saving import register


class GaussianMixture(Distribution):
    """A mixture of diagonal Gaussians, one for all examples.

    Args:
        logits: the logits of the components' weights, `(components,)`.
        mu: the components' means, `(components, latents)`.
        log_var: the logarithms of their variances, the same shape.
    """

    factorized = False

    def __init__(self, logits: tf.Tensor, mu: tf.Tensor, log_var: tf.Tensor) -> None:
        super().__init__(logits=logits, mu=mu, log_var=log_var)
        self.logits = logits
        self.components = Gaussian(mu, log_var)

    @property
    def mean(self) -> tf.Tensor:
        """The mean, `(1, latents)`."""
        return tf.matmul(tf.nn.softmax(self.logits)[tf.newaxis], self.components.mu)

    def log_prob(self, z: tf.Tensor) -> tf.Tensor:
        """Return the log-density of all of z in nats, `(..., 1)`: a mixture has none per latent variable."""
        by_component = tf.reduce_sum(self.components.log_prob(z[..., tf.newaxis, :]), axis=-1)
        return tf.reduce_logsumexp(tf.nn.log_softmax(self.logits) + by_component, axis=-1, keepdims=True)

    def sample(self, key: Key, samples: int | None = None, batch: Any = None) -> tf.Tensor:
        """Return draws of z, differentiable with respect to the components' parameters, but not to their weights."""
        latents = self.components.mu.shape[1]
        shape = [1 if batch is None else batch, *([] if samples is None else [samples])]
        uniform = uniform_like(tf.zeros([*shape, 1]), fold_in(key, 0))
        above = tf.cumsum(tf.nn.softmax(self.logits))[:-1]
        component = tf.reduce_sum(tf.cast(uniform > above, tf.int32), axis=-1)
        mu, log_var = (tf.gather(value, component) for value in (self.components.mu, self.components.log_var))
        return mu + tf.exp(0.5 * log_var) * normal_like(tf.zeros([*shape, latents]), fold_in(key, 1))

    def stratified_sample(self, noise: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return draws from every component, and their weights, which sum to 1.

        The weighted mean of a function of the draws is an unbiased estimate of its expectation under the mixture. It is
        differentiable with respect to the components' parameters and their weights.

        Args:
            noise: standard normal numbers, `(batch, components, samples, latents)`.

        Returns:
            `(batch, components * samples, latents)` and `(components * samples,)`.
        """
        batch, components, samples, latents = noise.shape
        draws = self.components.with_sample_axis().transformed(noise)
        weights = tf.repeat(tf.nn.softmax(self.logits) / samples, samples)
        return tf.reshape(draws, [-1 if batch is None else batch, components * samples, latents]), weights


@register
class Prior(keras.layers.Layer):
    """The latent family's own p(z), and the base class of other priors.

    A prior is a layer of the model: its weights are trained with the others. A subclass is registered with Keras when
    it is defined.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register(cls)

    def prepare(self, latent: LatentFamily, image_shape: Sequence[int]) -> None:
        """Create the weights for a family of latent variables and images `(height, width, channels)`."""
        self.built = True

    def distribution(self, latent: LatentFamily, encode: Callable[[tf.Tensor], Any]) -> Any:
        """Return p(z) under the current weights.

        Args:
            latent: the family of latent variables.
            encode: the function from images to their posterior.
        """
        return latent.prior()


class LearnedPrior(Prior, ABC):
    """Base class of mixtures with learned components, for Gaussian latent variables.

    The KL then has no closed form: `kl=monte_carlo` estimates it, and the logged `kl` is an estimate from the sample
    that the decoder sees.

    Args:
        components: the number of components.
    """

    def __init__(self, components: Count, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.components = components

    def prepare(self, latent: LatentFamily, image_shape: Sequence[int]) -> None:
        """Create the weights.

        Raises:
            UserError: if the latent variables are not Gaussian.
        """
        if not isinstance(latent, GaussianLatent):
            prior, family = type(self).__name__, type(latent).__name__
            raise UserError(f"{prior} is a mixture of Gaussians and needs latent=gaussian, not {family}")
        self._prepare(latent.size, image_shape)
        self.built = True

    @abstractmethod
    def _prepare(self, latents: int, image_shape: Sequence[int]) -> None:
        """Create the weights for so many latent variables and images `(height, width, channels)`."""

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "components": self.components}


class MixturePrior(LearnedPrior):
    """A mixture of Gaussians whose weights, means and variances are learned.

    Its components start as draws around 0. Tomczak and Welling 2018, "VAE with a VampPrior".
    """

    def _prepare(self, latents: int, image_shape: Sequence[int]) -> None:
        shape = (self.components, latents)
        self._logits = self.add_weight(shape=(self.components,), initializer="zeros", name="logits")
        start = keras.initializers.RandomNormal(stddev=0.5)
        self._mu = self.add_weight(shape=shape, initializer=start, name="mu")
        self._log_var = self.add_weight(shape=shape, initializer="zeros", name="log_var")

    def distribution(self, latent: LatentFamily, encode: Callable[[tf.Tensor], Any]) -> GaussianMixture:
        """Return the mixture under the current weights."""
        return GaussianMixture(*(tf.convert_to_tensor(value) for value in (self._logits, self._mu, self._log_var)))


class VampPrior(LearnedPrior):
    """The mixture of the posteriors of learned pseudo-images, equally weighted.

    Tomczak and Welling 2018, "VAE with a VampPrior". A sigmoid keeps the pseudo-images in [0, 1].
    """

    def _prepare(self, latents: int, image_shape: Sequence[int]) -> None:
        shape = (self.components, *image_shape)
        start = keras.initializers.RandomNormal(mean=-1.0, stddev=1.0)
        self._pseudo_logits = self.add_weight(shape=shape, initializer=start, name="pseudo_images")

    @property
    def pseudo_images(self) -> tf.Tensor:
        """The learned images in [0, 1], `(components, height, width, channels)`."""
        return tf.sigmoid(tf.convert_to_tensor(self._pseudo_logits))

    def distribution(self, latent: LatentFamily, encode: Callable[[tf.Tensor], Any]) -> GaussianMixture:
        """Return the mixture of the pseudo-images' posteriors under the current weights."""
        posterior = encode(self.pseudo_images)
        return GaussianMixture(tf.zeros([self.components]), posterior.mu, posterior.log_var)
