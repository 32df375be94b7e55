"""The maximum mean discrepancy between samples of the aggregate posterior and of the prior."""

from typing import Any

import tensorflow as tf

from vae.kl.base import KLRegularizer, check_gaussian
from vae.random import own_key


class MaximumMeanDiscrepancy(KLRegularizer):
    """How far the batch of samples z is from a sample of the prior: InfoVAE, MMD-VAE.

    E[k(z, z')] - 2 E[k(z, y)] + E[k(y, y')] for z of the aggregate posterior, y of the prior and a Gaussian kernel
    `exp(-|a - b|^2 / (2 * bandwidth))`: Zhao, Song and Ermon 2019, "InfoVAE: balancing learning and inference in
    variational autoencoders", equation 6. The estimate leaves out the pairs of a sample with itself: it is unbiased,
    and may be negative where z has the prior's distribution. It has no unit.

    Args:
        bandwidth: of the kernel, above 0; None for the number of latent variables.

    Raises:
        ValueError: for another bandwidth.
    """

    estimates_kl = False

    def __init__(self, bandwidth: float | None = None) -> None:
        if bandwidth is not None and not bandwidth > 0.0:
            raise ValueError(f"kl.bandwidth={bandwidth}: must be above 0")
        self.bandwidth = bandwidth

    def __call__(self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """The discrepancy: a float32 scalar."""
        check_gaussian("kl=mmd", "needs z to be a draw of the posterior, which a relaxed one is not", posterior)
        weight = tf.ones(tf.shape(z)[:1]) if sample_weight is None else tf.cast(sample_weight, tf.float32)
        drawn = prior.sample(own_key(), None, tf.shape(z)[0] if z.shape[0] is None else z.shape[0])
        pairs = weight[:, tf.newaxis] * weight
        different = tf.linalg.set_diag(pairs, tf.zeros_like(weight))
        among_z, among_drawn = (_weighted_mean(self._kernel(one, one), different) for one in (z, drawn))
        return among_z - 2.0 * _weighted_mean(self._kernel(z, drawn), pairs) + among_drawn

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """That it is no KL."""
        return "kl=mmd is no KL: its own weight is beta.value, which InfoVAE takes as large as 1000"

    def _kernel(self, first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """The kernel of every pair, `(rows of first, rows of second)`."""
        square = tf.reduce_sum(tf.square(first), axis=1)[:, tf.newaxis] + tf.reduce_sum(tf.square(second), axis=1)
        square -= 2.0 * tf.matmul(first, second, transpose_b=True)
        return tf.exp(-0.5 * tf.nn.relu(square) / (self.bandwidth or float(first.shape[1])))


def _weighted_mean(kernel: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(weight * kernel), tf.reduce_sum(weight))
