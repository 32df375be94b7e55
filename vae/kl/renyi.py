"""The Renyi divergence."""

from typing import Any

import tensorflow as tf

from vae.kl.arguments import Direction, RenyiOrder
from vae.kl.base import DirectedKL


class Renyi(DirectedKL):
    """The Renyi divergence of order alpha, in closed form. In the limit alpha -> 1 it is the KL.

    The closed form of Gaussians: Gil, Alajaji and Linder 2013. Above alpha = 1 it is infinite if the posterior
    is too wide: alpha * var_p + (1 - alpha) * var_q must be positive.

    This is the divergence of the posterior from the prior in the place of the KL. It is not the variational Renyi bound
    of Li and Turner 2016, "Renyi divergence variational inference", which takes the divergence from the exact posterior
    p(z|x). The objective is a lower bound of log p(x) for alpha above 1, where the divergence is at least the KL; below
    1 it is none, as beta-VAE with beta below 1 is none. Near the prior it is alpha times the KL, so that its control is
    `kl=analytic beta.value=ALPHA`.

    Args:
        direction: "forward", D_alpha[q || p]; "reverse", D_alpha[p || q]; "symmetric", their mean.
        alpha: the order, above 0 and not 1.
    """

    estimates_kl = False

    def __init__(self, direction: Direction = "forward", alpha: RenyiOrder = 0.5) -> None:
        super().__init__(direction)
        self.alpha = alpha

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """Return D_alpha[first || second] in nats, `(batch, latents)`."""
        return first.renyi_divergence(second, self.alpha)
