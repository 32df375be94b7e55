"""Pixels whose levels have the probabilities of a logistic distribution's bins."""

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.likelihoods.base import PIXEL_AXES
from vae.likelihoods.quantized import QuantizedLikelihood


class DiscretizedLogisticLikelihood(QuantizedLikelihood):
    """Independent pixels, grey or colour, on levels: a logistic distribution in bins; the decoder returns its location.

    The probability of a level is the mass of the bin around it; the lowest and the highest bin have no outer edge
    (Kingma et al. 2016, "Improving variational inference with inverse autoregressive flow"; Salimans et al. 2017,
    "PixelCNN++", section 2.1, with one component and one scale). The value is a log-probability and never positive.

    Args:
        levels: number of grey levels from 0 to 1; None for 256. `train.py` fills in the number of the training images.
        scale: the scale of the logistic distribution, whose standard deviation is 1.81 times as large; or "learned":
            one trainable number that starts at 0.1 and stays above exp(-9). That is 1/32 of the distance between 256
            levels, at which a bin can hold all but 3e-7 of the distribution.
    """

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log P(x|z) in nats, `(batch,)` float32.

        Args:
            images: `(batch, height, width, channels)` in [0, 1]. Each pixel counts as the nearest level.
            parameters: the locations, in the same shape.
        """
        level, location = self.nearest_level(images), tf.cast(parameters, tf.float32)
        per_scale = tf.exp(-self.log_scale)
        upper = ((level + 0.5) * self.spacing - location) * per_scale
        lower = ((level - 0.5) * self.spacing - location) * per_scale
        # With a bin of width w: sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(-w)), w = b - a, which keeps
        # its precision, and its gradient, where the two sigmoids are equal in float32
        below_upper, above_lower = -tf.nn.softplus(-upper), -tf.nn.softplus(lower)
        log_width = tf.math.log(-tf.math.expm1(-self.spacing * per_scale))
        inner = below_upper + above_lower + log_width
        log_mass = tf.where(level == 0.0, below_upper, tf.where(level == self.levels - 1.0, above_lower, inner))
        return tf.reduce_sum(log_mass, axis=PIXEL_AXES)

    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """Return E[x|z] up to half a level: the mean of the logistic distribution clipped to [0, 1]."""
        location, scale = tf.cast(parameters, tf.float32), tf.exp(self.log_scale)
        beyond_0, beyond_1 = (tf.math.log1p(tf.exp(-tf.abs(location - edge) / scale)) for edge in (0.0, 1.0))
        return tf.clip_by_value(super().call(location) + scale * (beyond_0 - beyond_1), 0.0, 1.0)

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the locations at which a call returns the mean image, kept within [0.01, 0.99]."""
        mean, scale = np.clip(mean_image, 0.01, 0.99), np.exp(self.log_scale.numpy())
        beyond_0, beyond_1 = (np.log(-np.expm1(-distance / scale)) for distance in (mean, 1.0 - mean))
        return np.asarray(mean + scale * (beyond_0 - beyond_1), np.float32)
