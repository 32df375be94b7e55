"""An estimate from samples."""

from typing import Any, Literal

import tensorflow as tf

from vae.errors import UserError
from vae.kl.arguments import Direction, ordered_pairs
from vae.kl.base import PerLatentRegularizer, check_gaussian
from vae.kl.draws import Draws, dependent_noise, further_noise
from vae.latents import Gaussian, GaussianMixture
from vae.options import Samples
from vae.random import Key, fold_in, normal_like


class MonteCarlo(PerLatentRegularizer):
    """The mean of log first(z) - log second(z) over draws of the first: unbiased, and needs no closed form.

    Each direction draws from the distribution that its expectation is under: forward from the posterior, and z, the
    sample that the decoder sees, is the first of the draws; reverse from the prior. Gradients go through the draws
    (Kingma and Welling 2014). If the prior is a mixture, the reverse direction draws `samples` from every component and
    weights the draws by the components' weights, so that these have a gradient, too.

    The standard error falls with the square root of `samples` times the batch if the draws are independent. `draws`
    makes them depend on one another. Each draw alone has the same distribution as before, so that value and gradient
    stay unbiased. Antithetic draws cancel what is odd in the noise, and double the variance of what is even. Under a
    Gaussian prior stratified draws never have a larger variance than independent ones.

    Of the draws from the posterior, `estimator="stl"` (sticking the landing; Roeder, Wu and Duvenaud 2017) leaves out
    the gradient of log q(z) with respect to the posterior's parameters at a fixed z. Its expectation is zero, so that
    the gradient stays unbiased. It is exact, without any noise, where the posterior is the prior, and it makes the
    gradient of the whole loss exact where the posterior is the true one, if z is the only draw. Elsewhere it may have
    less noise or more.

    Args:
        direction: "forward", D[q || p]; "reverse", D[p || q]; "symmetric", the mean of the two.
        samples: draws for each example.
        estimator: the gradient of the draws from the posterior: None for the total derivative, or "stl".
        draws: how the draws for an example depend on one another: None for independent draws; "antithetic", pairs of
            mu + sigma * e and mu - sigma * e, the last draw of an odd number alone; "stratified", for each latent
            variable one draw in each of `samples` intervals of equal probability.

    Raises:
        UserError: if `estimator="stl"` has no draws from the posterior, in the reverse direction, or if `draws` has
            only one sample.
    """

    def __init__(
        self,
        direction: Direction = "forward",
        samples: Samples = 1,
        estimator: Literal["stl"] | None = None,
        draws: Draws | None = None,
    ) -> None:
        if estimator == "stl" and direction == "reverse":
            raise UserError(
                "kl.estimator=stl: is of draws from the posterior, and kl.direction=reverse draws from the prior; "
                "must be null"
            )
        if draws and samples == 1:
            raise UserError(f"kl.draws={draws}: one draw depends on no other; needs kl.samples=2 or more")
        self.direction = direction
        self.samples = samples
        self.estimator = estimator
        self.draws = draws

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        """Return the estimate in nats, `(batch, latents)`; under a mixture `(batch, 1)`, of all latent variables."""
        check_gaussian("kl=monte_carlo", "differentiates through the draws of a Gaussian", posterior)
        batch = tf.shape(z)[0] if z.shape[0] is None else z.shape[0]
        estimates = []
        for number, (first, second) in enumerate(ordered_pairs(self.direction, posterior, prior)):
            own_key = fold_in(key, number)
            if first is posterior:
                estimates.append(self._from_posterior(posterior, prior, z, own_key))
            elif isinstance(first, GaussianMixture):
                estimates.append(self._from_components(first, second, batch, own_key))
            else:
                estimates.append(_mean_log_ratio(first, second, self._from_prior(first, batch, own_key)))
        return tf.add_n(estimates) / len(estimates)

    def _from_posterior(self, posterior: Any, prior: Any, z: tf.Tensor, key: Key) -> tf.Tensor:
        draws = z[:, tf.newaxis]
        if self.samples > 1:
            draws = tf.concat([draws, self._further_draws(posterior, z, key)], axis=1)
        if self.estimator == "stl":
            posterior = Gaussian(tf.stop_gradient(posterior.mu), tf.stop_gradient(posterior.log_var))
        return _mean_log_ratio(posterior, prior, draws)

    def _further_draws(self, posterior: Any, z: tf.Tensor, key: Key) -> tf.Tensor:
        if self.draws is None:
            return posterior.sample(key, self.samples - 1)
        noise = tf.stop_gradient((z - posterior.mu) * tf.exp(-0.5 * posterior.log_var))
        return posterior.with_sample_axis().transformed(further_noise(self.draws, noise, self.samples, key))

    def _from_prior(self, prior: Any, batch: Any, key: Key) -> tf.Tensor:
        if self.draws is None:
            return prior.sample(key, self.samples, batch)
        check_gaussian(f"kl.draws={self.draws}", "transforms the noise of a Gaussian", prior)
        like = tf.zeros([batch, prior.mu.shape[1]])
        return prior.with_sample_axis().transformed(dependent_noise(self.draws, like, self.samples, key))

    def _from_components(self, mixture: GaussianMixture, other: Any, batch: Any, key: Key) -> tf.Tensor:
        components, latents = mixture.components.mu.shape
        if self.draws is None:
            noise = normal_like(tf.zeros([batch, components, self.samples, latents]), key)
        else:
            noise = dependent_noise(self.draws, tf.zeros([batch, components, latents]), self.samples, key)
        draws, weights = mixture.stratified_sample(noise)
        return tf.reduce_sum(weights[:, tf.newaxis] * _log_ratio(mixture, other, draws), axis=1)


def _mean_log_ratio(first: Any, second: Any, draws: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(_log_ratio(first, second, draws), axis=1)


def _log_ratio(first: Any, second: Any, draws: tf.Tensor) -> tf.Tensor:
    """Return log first(z) - log second(z) in nats for draws `(batch, samples, latents)`.

    The result has the draws' shape, or `(batch, samples, 1)` if a distribution is a mixture.
    """
    terms = [
        distribution.with_sample_axis().log_prob(draws) if distribution.factorized else distribution.log_prob(draws)
        for distribution in (first, second)
    ]
    if not (first.factorized and second.factorized):
        terms = [tf.reduce_sum(term, axis=-1, keepdims=True) for term in terms]
    return terms[0] - terms[1]
