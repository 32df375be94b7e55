"""The closed form."""

from typing import Any

import tensorflow as tf

from vae.kl.base import DirectedKL


class Analytic(DirectedKL):
    """The exact divergence between posterior and prior.

    For a Gaussian: Kingma and Welling 2014, "Auto-encoding variational Bayes", appendix B.

    >>> import tensorflow as tf
    >>> from vae.latents import Gaussian
    >>> from vae.random import Stream, key
    >>> posterior = Gaussian(mu=tf.constant([[1.0, 2.0]]), log_var=tf.zeros([1, 2]))
    >>> prior = Gaussian(mu=tf.zeros([1, 2]), log_var=tf.zeros([1, 2]))
    >>> draw = key(seed=0, stream=Stream.TRAINING_REGULARIZER, counter=0)  # this regularizer draws nothing by it
    >>> Analytic().per_latent(posterior, prior, posterior.mean, key=draw).numpy().tolist()
    [[0.5, 2.0]]
    >>> float(Analytic()(posterior, prior, posterior.mean, key=draw))  # sum over latents, mean over examples
    2.5
    """

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """Return D[first || second] in nats, `(batch, latents)`."""
        return first.kl_divergence(second)
