"""Normal pixels: as real numbers, and as levels that uniform noise turns into real numbers."""

import math

import tensorflow as tf

from vae.likelihoods.base import PIXEL_AXES, LogProbKind
from vae.likelihoods.location_scale import LocationScaleLikelihood
from vae.likelihoods.quantized import QuantizedLikelihood


class GaussianLikelihood(LocationScaleLikelihood):
    """Independent normal pixels of one common scale; the decoder returns their means.

    The value is a log-density, with its normalizing constant: it may be positive, and so may the ELBO. It is no
    probability of stored images, and has no bits per dimension; `DequantizedGaussianLikelihood` has both.

    Args:
        scale: the standard deviation, or "learned": one trainable number (Rybkin, Daniilidis and Levine 2021, "Simple
            and effective VAE training with calibrated decoders") that starts at 0.1 and stays above exp(-6) = 0.0025,
            as in their code. Without a limit, the density of pixels that are predicted exactly has no maximum.
    """

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats, `(batch,)` float32, of images in [0, 1] under means of the same shape."""
        return tf.reduce_sum(_log_density(images, parameters, self.log_scale), axis=PIXEL_AXES)

    def kind_of(self, images: tf.Tensor) -> LogProbKind:
        """Return "density"."""
        return "density"


class DequantizedGaussianLikelihood(QuantizedLikelihood):
    """Independent normal pixels with uniform dequantization; the decoder returns their means.

    Noise u, uniform over the width of a level, turns a level into a real number, and the probability of the level is at
    least exp E[log p(x + u|z)] times that width (Theis, van den Oord and Bethge 2016, "A note on the evaluation of
    generative models"). For a normal density the expectation has a closed form, so that nothing is drawn.

    Args:
        levels: number of grey levels from 0 to 1; None for 256. `train.py` fills in the number of the training images.
        scale: the standard deviation, or "learned": one trainable number that starts at 0.1. Its best value is never
            below the standard deviation of the noise, 1 / sqrt(12) of the distance between two levels.
    """

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return a lower bound of log P(x|z) in nats, `(batch,)` float32.

        P is the probability of the pixels' levels.

        Args:
            images: `(batch, height, width, channels)` in [0, 1]. Each pixel counts as the nearest level.
            parameters: the means, in the same shape.
        """
        log_density = _log_density(self.nearest_level(images) * self.spacing, parameters, self.log_scale)
        lost_to_noise = self.spacing**2 / 24.0 * tf.exp(-2.0 * self.log_scale)  # the variance of u is spacing^2 / 12
        return tf.reduce_sum(log_density - lost_to_noise + math.log(self.spacing), axis=PIXEL_AXES)


def _log_density(images: tf.Tensor, means: tf.Tensor, log_scale: tf.Tensor) -> tf.Tensor:
    error = (tf.cast(images, tf.float32) - tf.cast(means, tf.float32)) * tf.exp(-log_scale)
    return -0.5 * tf.square(error) - log_scale - 0.5 * math.log(2.0 * math.pi)
