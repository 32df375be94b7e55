"""log p(x|z) per example, in nats, from what the decoder returns."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

_PIXEL_AXES = (1, 2, 3)
_LOG_SCALE_FLOOR = -6.0


class Likelihood(keras.layers.Layer):
    """p(x|z). Called, it turns the decoder's output into E[x|z], images in [0, 1].

    A subclass is registered with Keras when it is defined.
    """

    bits_of_density = 0.0  # what -log2 p(x|z) per dimension lacks to be a code length

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(package=cls.__module__)(cls)

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log p(x|z) in nats, `(batch,)` float32, of images in [0, 1] under the decoder's output of the same shape."""
        raise TypeError(f"{type(self).__name__} does not say what log_prob is")

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The decoder's output for an image of means `(height, width, channels)`: where training starts."""
        raise TypeError(f"{type(self).__name__} does not say what initial_parameters are")


class BernoulliLikelihood(Likelihood):
    """Independent Bernoulli pixels; the decoder returns their logits.

    For grey pixels the value is the usual cross-entropy, which is no log-probability: binarize the images where the
    ELBO has to be one.
    """

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log p(x|z) in nats, `(batch,)` float32, of images in [0, 1] under logits of the same shape."""
        logits = tf.cast(parameters, tf.float32)
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(images, tf.float32), logits=logits)
        return -tf.reduce_sum(cross_entropy, axis=_PIXEL_AXES)

    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """E[x|z], images in [0, 1]: the sigmoid of the logits."""
        return tf.sigmoid(tf.cast(parameters, tf.float32))

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits of an image of means, kept within [0.01, 0.99]: the decoder's first output bias."""
        mean = np.clip(mean_image, 0.01, 0.99)
        return np.asarray(np.log(mean) - np.log1p(-mean), np.float32)


class GaussianLikelihood(Likelihood):
    """Independent normal pixels of one common scale; the decoder returns their means.

    A density on [0, 1] in nats, with its normalizing constant; the density may exceed 1 and the ELBO be positive.

    Args:
        scale: the standard deviation, above 0, or "learned": one trainable number (Rybkin, Daniilidis and Levine 2021,
            "Simple and effective VAE training with calibrated decoders", section 3.1), which starts at 0.1 and stays
            above exp(-6), half the step between two of the 256 grey levels.
    """

    bits_of_density = 8.0  # a density on [0, 1], of 256 grey levels

    def __init__(self, scale: float | str = "learned", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if scale != "learned" and not (isinstance(scale, int | float) and scale > 0):
            raise ValueError(f"likelihood.scale={scale}: must be 'learned' or a number above 0")
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
        """Log p(x|z) in nats, `(batch,)` float32, of images in [0, 1] under means of the same shape."""
        error = (tf.cast(images, tf.float32) - tf.cast(parameters, tf.float32)) * tf.exp(-self.log_scale)
        log_density = -0.5 * tf.square(error) - self.log_scale - 0.5 * math.log(2.0 * math.pi)
        return tf.reduce_sum(log_density, axis=_PIXEL_AXES)

    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """E[x|z], as images: the means, clipped to [0, 1]."""
        return tf.clip_by_value(tf.cast(parameters, tf.float32), 0.0, 1.0)

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The image of means itself: the decoder's first output bias."""
        return np.asarray(mean_image, np.float32)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}
