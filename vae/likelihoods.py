"""Likelihoods: log p(x|z) per example, in nats, for the decoder's output."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.options import PositiveFloat
from vae.saving import register

_PIXEL_AXES = (1, 2, 3)
_LOG_SCALE_FLOOR = -6.0


class Likelihood(keras.layers.Layer, ABC):
    """Base class of the choices of the group `likelihood`: p(x|z), given the decoder's output.

    A call of the layer returns E[x|z], images in [0, 1]. A subclass is registered with Keras when it is defined.
    """

    bits_of_density: ClassVar[float] = 0.0  # to be added to -log2 p(x|z) per dimension for a code length

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        register(cls)

    @abstractmethod
    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats, `(batch,)` float32.

        Args:
            images: `(batch, height, width, channels)` in [0, 1].
            parameters: the decoder's output, in the same shape.
        """

    @abstractmethod
    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """Return E[x|z], images in [0, 1], for the decoder's output."""

    @abstractmethod
    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the decoder's output at the start of training, for the mean image `(height, width, channels)`."""


class BernoulliLikelihood(Likelihood):
    """Independent Bernoulli pixels; the decoder returns their logits.

    For grey pixels the value is the usual cross-entropy, which is not a log-probability: binarize the images if the
    ELBO has to be a bound.
    """

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats, `(batch,)` float32, of images in [0, 1] under logits of the same shape."""
        logits = tf.cast(parameters, tf.float32)
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(images, tf.float32), logits=logits)
        return -tf.reduce_sum(cross_entropy, axis=_PIXEL_AXES)

    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """Return E[x|z], images in [0, 1]: the sigmoid of the logits."""
        return tf.sigmoid(tf.cast(parameters, tf.float32))

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of the mean image, kept within [0.01, 0.99]."""
        mean = np.clip(mean_image, 0.01, 0.99)
        return np.asarray(np.log(mean) - np.log1p(-mean), np.float32)


class GaussianLikelihood(Likelihood):
    """Independent normal pixels of one common scale; the decoder returns their means.

    The value is a log-density, with its normalizing constant: it may be positive, and so may the ELBO.

    Args:
        scale: the standard deviation, or "learned": one trainable number that starts at 0.1 and stays above exp(-6),
            below the distance of 1/255 between grey levels (Rybkin, Daniilidis and Levine 2021, "Simple and effective
            VAE training with calibrated decoders", section 3.1).
    """

    bits_of_density = 8.0  # log2 of the 256 grey levels on [0, 1]

    def __init__(self, scale: Literal["learned"] | PositiveFloat = "learned", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = scale
        if scale == "learned":
            initial = keras.initializers.Constant(math.log(0.1))
            self._log_scale = self.add_weight(shape=(), initializer=initial, dtype="float32", name="log_scale")

    @property
    def log_scale(self) -> tf.Tensor:
        """The logarithm of the standard deviation, a float32 scalar."""
        if self.scale != "learned":
            return tf.constant(math.log(float(self.scale)))
        return _LOG_SCALE_FLOOR + tf.nn.softplus(tf.convert_to_tensor(self._log_scale) - _LOG_SCALE_FLOOR)

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats, `(batch,)` float32, of images in [0, 1] under means of the same shape."""
        error = (tf.cast(images, tf.float32) - tf.cast(parameters, tf.float32)) * tf.exp(-self.log_scale)
        log_density = -0.5 * tf.square(error) - self.log_scale - 0.5 * math.log(2.0 * math.pi)
        return tf.reduce_sum(log_density, axis=_PIXEL_AXES)

    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """Return E[x|z] as images: the means, clipped to [0, 1]."""
        return tf.clip_by_value(tf.cast(parameters, tf.float32), 0.0, 1.0)

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the mean image itself."""
        return np.asarray(mean_image, np.float32)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}
