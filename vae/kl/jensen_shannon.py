"""The Jensen-Shannon divergence."""

from typing import Any

import tensorflow as tf

from vae.kl.base import PerLatentRegularizer
from vae.random import Key


class JensenShannon(PerLatentRegularizer):
    """The Jensen-Shannon divergence: the mean KL of q and p to their mixture. Symmetric, and at most log 2.

    Exact for discrete latent variables; for Gaussians, which have no closed form, by quadrature with log-densities
    (`vae.latents.Gaussian.js_divergence`). Lin 1991, "Divergence measures based on the Shannon entropy".

    Near the prior it is a quarter of the KL, and far from it its gradient vanishes.
    """

    estimates_kl = False

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        """Return the divergence in nats, `(batch, latents)`, before any reduction."""
        return posterior.js_divergence(prior)
