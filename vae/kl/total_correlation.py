"""The KL in three parts, each with its own weight."""

from typing import Any

import tensorflow as tf

from vae.kl.base import KLRegularizer, canonical_mean, check_gaussian
from vae.options import PositiveInt
from vae.random import Key


class TotalCorrelation(KLRegularizer):
    """The KL in three parts, each with its own weight: beta-TCVAE.

    D[q(z|x) || p(z)] = I(x; z) + D[q(z) || prod_j q(z_j)] + sum_j D[q(z_j) || p(z_j)]: the mutual information, the
    total correlation and the KL of each variable's marginal. Chen, Li, Grosse and Duvenaud 2018, "Isolating sources of
    disentanglement in VAEs", equations 2 and 4.

    The densities q(z) and q(z_j) are estimated from the batch by minibatch-stratified sampling (appendix C.2): the
    example that z came from has the weight 1/N of N training examples, and the others of the batch stand for the rest.
    The paper gives one of the others a weight of its own; here all have the mean of these weights, so that the order of
    the batch changes nothing. The log of an estimate is biased upwards for the parts, but not for their sum.

    With all three weights 1 the regularizer is an estimate of the KL.

    Args:
        information: the weight of the mutual information I(x; z), the paper's alpha.
        correlation: the weight of the total correlation, the paper's beta.
        marginal: the weight of the sum of the marginals' KL, the paper's gamma.
        dataset_size: n, the number of training examples; None for the batch's own size. `train.py` fills it in.
    """

    def __init__(
        self,
        information: float = 1.0,
        correlation: float = 6.0,
        marginal: float = 1.0,
        dataset_size: PositiveInt | None = None,
    ) -> None:
        self.information = information
        self.correlation = correlation
        self.marginal = marginal
        self.dataset_size = dataset_size

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the weighted sum of the three parts, averaged over examples: a float32 scalar in nats."""
        information, correlation, marginal = self.parts(posterior, prior, z, sample_weight)
        weighted = self.information * information + self.correlation * correlation + self.marginal * marginal
        return canonical_mean(weighted, sample_weight)

    def parts(
        self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return mutual information, total correlation and marginal KL of each example in nats: three of `(batch,)`."""
        check_gaussian("kl=tc", "compares densities of Gaussians", posterior, prior)
        log_conditional = tf.reduce_sum(posterior.log_prob(z), axis=1)
        log_prior = tf.reduce_sum(prior.log_prob(z), axis=1)
        pairs = type(posterior)(posterior.mu[tf.newaxis], posterior.log_var[tf.newaxis]).log_prob(z[:, tf.newaxis])
        log_shares = self._log_shares(tf.shape(z)[0], sample_weight)  # (batch, batch): z_i under posterior j
        log_joint = tf.reduce_logsumexp(log_shares + tf.reduce_sum(pairs, axis=2), axis=1)
        log_marginals = tf.reduce_sum(tf.reduce_logsumexp(log_shares[..., tf.newaxis] + pairs, axis=1), axis=1)
        return log_conditional - log_joint, log_joint - log_marginals, log_marginals - log_prior

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """Return the end of a warning: the regularizer has three weights."""
        return (
            "kl=tc weights the parts of the KL separately (kl.information, kl.correlation, kl.marginal); far from the "
            "prior it is not a multiple of the canonical KL"
        )

    def _log_shares(self, batch: tf.Tensor, sample_weight: tf.Tensor | None) -> tf.Tensor:
        """Return the logarithms of the weights of posterior j in the density of z_i, `(batch, batch)`."""
        weight = tf.ones([batch]) if sample_weight is None else tf.cast(sample_weight, tf.float32)
        present = tf.math.count_nonzero(weight, dtype=tf.float32)
        examples = present if self.dataset_size is None else tf.constant(float(self.dataset_size))
        others = tf.linalg.set_diag(tf.tile(weight[tf.newaxis], [batch, 1]), tf.zeros([batch]))
        total = tf.reduce_sum(others, axis=1, keepdims=True)
        own = tf.where(total > 0.0, 1.0 / examples, 1.0)  # alone in its batch, an example stands for all
        shares = (1.0 - own) * tf.math.divide_no_nan(others, total) + own * tf.eye(batch)
        positive = shares > 0.0
        return tf.where(positive, tf.math.log(tf.where(positive, shares, 1.0)), -1e30)
