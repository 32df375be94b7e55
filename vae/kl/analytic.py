"""The closed form."""

from typing import Any

import tensorflow as tf

from vae.kl.contract import DirectedKL


class Analytic(DirectedKL):
    """The exact divergence between posterior and prior.

    For a Gaussian: Kingma and Welling 2014, "Auto-encoding variational Bayes", appendix B.
    """

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """D[first || second] in nats, `(batch, latents)`."""
        return first.kl_divergence(second)
