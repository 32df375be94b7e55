"""Binary pixels."""

import math

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.likelihoods.base import PIXEL_AXES, Likelihood, LogProbKind

_HALVINGS = 6  # of the pixels whose logarithms are taken


class BernoulliLikelihood(Likelihood):
    """Independent Bernoulli pixels; the decoder returns their logits.

    For grey pixels the value is minus the usual cross-entropy, which is not a log-probability of the images: binarize
    them if the ELBO has to be a bound of log p(x).
    """

    def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats, `(batch,)` float32, of images in [0, 1] under logits of the same shape."""
        logits = tf.cast(parameters, tf.float32)
        cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.cast(images, tf.float32), logits=logits)
        return -tf.reduce_sum(cross_entropy, axis=PIXEL_AXES)

    def log_prob_of_samples(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Return log p(x|z) in nats for several z of each image, `(batch, samples)` float32.

        With logits l it is the sum over pixels of `x l - max(l, 0) - log(1 + exp(-|l|))`. The logarithms of up to 64
        pixels are one logarithm of a product, at most 2^64: it takes a third of the time of `log_prob`, and its error
        is no larger.
        """
        pixels = math.prod(parameters.shape[2:])
        logits = tf.reshape(tf.cast(parameters, tf.float32), [-1, parameters.shape[1], pixels])
        x = tf.reshape(tf.cast(images, tf.float32), [-1, 1, pixels])
        factors = 1.0 + tf.exp(-tf.abs(logits))
        for _ in range(_HALVINGS):
            if factors.shape[-1] % 2:
                break
            first, second = tf.split(factors, 2, axis=-1)
            factors = first * second
        linear = tf.reduce_sum(x * logits - tf.maximum(logits, 0.0), axis=-1)
        return linear - tf.reduce_sum(tf.math.log(factors), axis=-1)

    def call(self, parameters: tf.Tensor) -> tf.Tensor:
        """Return E[x|z], images in [0, 1]: the sigmoid of the logits."""
        return tf.sigmoid(tf.cast(parameters, tf.float32))

    def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits of the mean image, kept within [0.01, 0.99]."""
        mean = np.clip(mean_image, 0.01, 0.99)
        return np.asarray(np.log(mean) - np.log1p(-mean), np.float32)

    def kind_of(self, images: tf.Tensor) -> LogProbKind:
        """Return "probability" if every pixel is 0 or 1, else "cross_entropy"."""
        images = tf.cast(images, tf.float32)
        return "probability" if tf.reduce_all((images == 0.0) | (images == 1.0)) else "cross_entropy"
