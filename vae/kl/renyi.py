"""The Renyi divergence."""

from typing import Any

import tensorflow as tf

from vae.kl.base import DirectedKL


class Renyi(DirectedKL):
    """Renyi's divergence of order alpha, in closed form. At alpha -> 1 it is the KL.

    Li and Turner 2016, "Renyi divergence variational inference", equation 2; the closed form of Gaussians: Gil, Alajaji
    and Linder 2013, table 2. Above alpha = 1 it is infinite where the posterior is too wide:
    alpha * var_p + (1 - alpha) * var_q must be positive.

    Args:
        direction: "forward", D_alpha[q || p]; "reverse", D_alpha[p || q]; "symmetric", their mean.
        alpha: above 0, and not 1.

    Raises:
        ValueError: for another direction or another alpha.
    """

    estimates_kl = False

    def __init__(self, direction: str = "forward", alpha: float = 0.5) -> None:
        super().__init__(direction)
        if not alpha > 0.0 or alpha == 1.0:
            raise ValueError(f"kl.alpha={alpha}: must be above 0 and not 1; at 1 it is kl=analytic")
        self.alpha = alpha

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """D_alpha[first || second] in nats, `(batch, latents)`."""
        return first.renyi_divergence(second, self.alpha)
