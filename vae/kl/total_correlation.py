"""The KL in three parts, each with its own weight."""

from typing import Any, Literal

import tensorflow as tf

from vae.kl.base import KLRegularizer, canonical_mean, check_gaussian
from vae.options import PositiveInt
from vae.random import Key


class TotalCorrelation(KLRegularizer):
    """The KL in three parts, each with its own weight: beta-TCVAE.

    D[q(z|x) || p(z)] = I(x; z) + D[q(z) || prod_j q(z_j)] + sum_j D[q(z_j) || p(z_j)]: the mutual information, the
    total correlation and the KL of each variable's marginal. Chen, Li, Grosse and Duvenaud 2018, "Isolating sources of
    disentanglement in VAEs".

    The densities q(z) and q(z_j) are estimated from the batch, by one of two mixtures of its posteriors:

    - "stratified", minibatch-stratified sampling: the example that z came from has the weight 1/N of N
      training examples, and the others of the batch stand for the rest. The paper gives one of the others a weight of
      its own; here all have the mean of these weights, so that the order of the batch changes nothing.
    - "weighted", minibatch-weighted sampling: every example of the batch, z's own included, has the same weight. The
      paper divides by N as well, which adds log N, (D - 1) log N and -D log N to the parts of D latent variables. It
      changes no gradient, and is left out here, so that the parts are 0 if every posterior is the prior.

    The parts are biased, their sum is not: it is log q(z|x) - log p(z). With all three weights 1 the regularizer is an
    unbiased estimate of the KL. The stratified densities are unbiased, so that by Jensen's inequality their logs are
    too low: the mutual information is too high, up to log N, and the marginal KL too low. The weighted densities are
    too high at z, which adds to them itself: the mutual information is too low, at most the log of the batch size. The
    bias of the total correlation is the difference of two biases, and may have either sign. Six independent variables
    of standard deviation 0.32 (`python benchmarks/total_correlation.py`: N = 20,000, a batch of 128) have a total
    correlation of 0.15 nats; stratified sampling gives -1.03, weighted sampling 2.14. With a correlation weight above 1
    the regularizer, KL + (correlation - 1) * total correlation, can therefore be negative at a healthy posterior.

    Args:
        information: the weight of the mutual information I(x; z), the paper's alpha.
        correlation: the weight of the total correlation, the paper's beta.
        marginal: the weight of the sum of the marginals' KL, the paper's gamma.
        dataset_size: n, the number of training examples, for "stratified"; None for the batch's own size, with which
            both estimators are the same (with equal sample weights). `train.py` fills it in.
        estimator: "stratified" or "weighted", the estimator of the densities.
    """

    def __init__(
        self,
        information: float = 1.0,
        correlation: float = 6.0,
        marginal: float = 1.0,
        dataset_size: PositiveInt | None = None,
        estimator: Literal["stratified", "weighted"] = "stratified",
    ) -> None:
        self.information = information
        self.correlation = correlation
        self.marginal = marginal
        self.dataset_size = dataset_size
        self.estimator = estimator
        self.estimates_kl = information == correlation == marginal == 1.0

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
        every = tf.tile(weight[tf.newaxis], [batch, 1])
        shares = _normalized(every) if self.estimator == "weighted" else self._stratified(every)
        positive = shares > 0.0
        return tf.where(positive, tf.math.log(tf.where(positive, shares, 1.0)), -1e30)

    def _stratified(self, weight: tf.Tensor) -> tf.Tensor:
        """Return shares of 1/N on the diagonal, and of the rest in proportion to the weights."""
        present = tf.math.count_nonzero(weight[0], dtype=tf.float32)
        examples = present if self.dataset_size is None else tf.constant(float(self.dataset_size))
        others = _normalized(tf.linalg.set_diag(weight, tf.zeros_like(weight[0])))
        # Alone in its batch, an example stands for all
        own = tf.where(tf.reduce_sum(others, axis=1) > 0.0, 1.0 / examples, 1.0)
        return tf.linalg.set_diag((1.0 - own)[:, tf.newaxis] * others, own)


def _normalized(weight: tf.Tensor) -> tf.Tensor:
    """Return rows that sum to 1, or to 0 if all their weights are 0."""
    return tf.math.divide_no_nan(weight, tf.reduce_sum(weight, axis=1, keepdims=True))
