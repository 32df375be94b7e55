"""The maximum mean discrepancy between samples of the aggregate posterior and of the prior."""

from typing import Any

import tensorflow as tf

from vae.kl.base import KLRegularizer, check_gaussian
from vae.options import PositiveFloat
from vae.random import Key


class MaximumMeanDiscrepancy(KLRegularizer):
    """The squared distance between the batch of samples z and a sample of the prior: InfoVAE, MMD-VAE.

    E[k(z, z')] - 2 E[k(z, y)] + E[k(y, y')] for z of the aggregate posterior, y of the prior and a Gaussian kernel
    `exp(-|a - b|^2 / (2 * bandwidth))`: Zhao, Song and Ermon 2019, "InfoVAE: balancing learning and inference in
    variational autoencoders". The estimate leaves out the pairs of a sample with itself: it is unbiased,
    and may be negative if z has the prior's distribution. It has no unit.

    Args:
        bandwidth: the bandwidth of the kernel; None for the number of latent variables.
    """

    estimates_kl = False

    def __init__(self, bandwidth: PositiveFloat | None = None) -> None:
        self.bandwidth = bandwidth

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the discrepancy: a float32 scalar."""
        check_gaussian("kl=mmd", "needs z to be a draw of the posterior, which a relaxed one is not", posterior)
        weight = tf.ones(tf.shape(z)[:1]) if sample_weight is None else tf.cast(sample_weight, tf.float32)
        y = prior.sample(key, batch=tf.shape(z)[0] if z.shape[0] is None else z.shape[0])
        pairs = weight[:, tf.newaxis] * weight
        different = tf.linalg.set_diag(pairs, tf.zeros_like(weight))
        among_z, among_y = (_weighted_mean(self._kernel(sample, sample), different) for sample in (z, y))
        return among_z - 2.0 * _weighted_mean(self._kernel(z, y), pairs) + among_y

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """Return the end of a warning: the regularizer is not a KL."""
        return "kl=mmd is not a KL: its weight is beta.value, which InfoVAE takes as large as 1000"

    def _kernel(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Return the kernel of every pair, `(rows of first, rows of second)`."""
        square = tf.reduce_sum(tf.square(first), axis=1)[:, tf.newaxis] + tf.reduce_sum(tf.square(second), axis=1)
        square -= 2.0 * tf.matmul(first, second, transpose_b=True)
        return tf.exp(-0.5 * tf.nn.relu(square) / (self.bandwidth or float(first.shape[1])))


def _weighted_mean(kernel: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(weight * kernel), tf.reduce_sum(weight))
