"""Priors: the family's own, and two that are learned."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from vae.errors import UserError
from vae.latents.distribution import Distribution, LatentFamily
from vae.latents.gaussian import Gaussian, GaussianLatent
from vae.random import normal_like, uniform_like


class GaussianMixture(Distribution):
    """One mixture of diagonal Gaussians for all examples.

    Args:
        logits: of the components' weights, `(components,)`.
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
        """The log-density of the whole of z in nats, `(..., 1)`: a mixture has none for each latent variable."""
        by_component = tf.reduce_sum(self.components.log_prob(z[..., tf.newaxis, :]), axis=-1)
        return tf.reduce_logsumexp(tf.nn.log_softmax(self.logits) + by_component, axis=-1, keepdims=True)

    def sample(self, key: tf.Tensor, samples: int | None = None, batch: Any = None) -> tf.Tensor:
        """Draws z, differentiable by the components' parameters, not by their weights."""
        latents = self.components.mu.shape[1]
        shape = [1 if batch is None else batch, *([] if samples is None else [samples])]
        uniform = uniform_like(tf.zeros([*shape, 1]), key)
        above = tf.cumsum(tf.nn.softmax(self.logits))[:-1]
        component = tf.reduce_sum(tf.cast(uniform > above, tf.int32), axis=-1)
        mu, log_var = (tf.gather(value, component) for value in (self.components.mu, self.components.log_var))
        return mu + tf.exp(0.5 * log_var) * normal_like(tf.zeros([*shape, latents]), key + 2**32)

    def kl_divergence(self, other: Distribution) -> tf.Tensor:
        """Has no closed form: raises a UserError."""
        return self._of_my_family(None)  # type: ignore[arg-type]


@keras.saving.register_keras_serializable(package="vae")
class Prior(keras.layers.Layer):
    """p(z), as a layer of the model: what it has to learn is trained with the rest. This one is the family's own."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def prepare(self, latent: LatentFamily, image_shape: Sequence[int]) -> None:
        """Creates what is learned, for a family of latent variables and images `(height, width, channels)`."""
        self.built = True

    def distribution(self, latent: LatentFamily, encode: Callable[[tf.Tensor], Any]) -> Any:
        """p(z) as it is now; `encode` gives the posterior of images."""
        return latent.prior()


class LearnedPrior(Prior, ABC):
    """A mixture whose components are learned. For Gaussian latent variables.

    The KL has then no closed form: `kl=monte_carlo` estimates it, and so does what is logged as `kl`, from the one
    sample that the decoder sees.

    Args:
        components: how many.

    Raises:
        ValueError: for fewer than one component.
        UserError: by `prepare`, for another family than Gaussian.
    """

    def __init__(self, components: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if components < 1:
            raise ValueError(f"prior.components={components}: must be 1 or more")
        self.components = components

    def prepare(self, latent: LatentFamily, image_shape: Sequence[int]) -> None:
        """Creates what is learned."""
        if not isinstance(latent, GaussianLatent):
            raise UserError(f"a prior that is learned is a mixture of Gaussians and needs latent=gaussian: {latent}")
        self._prepare(latent.size, image_shape)
        self.built = True

    @abstractmethod
    def _prepare(self, latents: int, image_shape: Sequence[int]) -> None: ...

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "components": self.components}


@keras.saving.register_keras_serializable(package="vae")
class MixturePrior(LearnedPrior):
    """A mixture of Gaussians whose weights, means and variances are learned.

    Its components start as draws around 0. Tomczak and Welling 2018, "VAE with a VampPrior", section 4 ("MoG").
    """

    def _prepare(self, latents: int, image_shape: Sequence[int]) -> None:
        shape = (self.components, latents)
        self._logits = self.add_weight(shape=(self.components,), initializer="zeros", name="logits")
        start = keras.initializers.RandomNormal(stddev=0.5)
        self._mu = self.add_weight(shape=shape, initializer=start, name="mu")
        self._log_var = self.add_weight(shape=shape, initializer="zeros", name="log_var")

    def distribution(self, latent: LatentFamily, encode: Callable[[tf.Tensor], Any]) -> GaussianMixture:
        """The mixture as it is now."""
        return GaussianMixture(*(tf.convert_to_tensor(value) for value in (self._logits, self._mu, self._log_var)))


@keras.saving.register_keras_serializable(package="vae")
class VampPrior(LearnedPrior):
    """The mixture of the posteriors of learned pseudo-images, equally weighted.

    Tomczak and Welling 2018, "VAE with a VampPrior", equation 9. The pseudo-images are kept in [0, 1] by a sigmoid.
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
        """The mixture of the pseudo-images' posteriors as they are now."""
        posterior = encode(self.pseudo_images)
        return GaussianMixture(tf.zeros([self.components]), posterior.mu, posterior.log_var)
