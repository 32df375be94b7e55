"""A common mistake: the Keras function applied to numbers that are not probabilities."""

from typing import Any, Literal

import keras
import tensorflow as tf

from vae.kl.arguments import Direction
from vae.kl.base import DirectedKL, check_gaussian
from vae.random import Key


class Raw(DirectedKL):
    """`keras.losses.kl_divergence` of a Gaussian's parameters, in three forms that are found in public code.

    None is a divergence between posterior and prior. The function clips its arguments to [1e-7, 1], so that negative
    numbers have no gradient. The class exists to be measured.

    Args:
        direction: "forward", the arguments in the order of `form`; "reverse", swapped; "symmetric", their mean.
        form: "parameters", of the means and the log-variances, `kl_divergence(z_mean, z_log_var)`; "softmax", of their
            softmax over the latent variables; "log_var", of the log-variances and the prior's, which are 0.
    """

    def __init__(
        self, direction: Direction = "forward", form: Literal["parameters", "softmax", "log_var"] = "parameters"
    ) -> None:
        super().__init__(direction)
        self.form = form

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """Return the terms of the function's sum over two rows of numbers, `(batch, latents)`."""
        # The function sums over the last axis: it gets one of length 1
        return keras.losses.kl_divergence(first[..., tf.newaxis], second[..., tf.newaxis])

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        """Return the terms of the function's sum in this regularizer's direction, `(batch, latents)`."""
        check_gaussian("kl=raw", "misuses the means and log-variances of a Gaussian", posterior, prior)
        return self.directed(self.divergence, *self.function_arguments(posterior, prior))

    def function_arguments(self, posterior: Any, prior: Any) -> list[tf.Tensor]:
        """Return the function's two arguments, `(batch, latents)` each."""
        if self.form == "log_var":
            return [posterior.log_var, prior.log_var + tf.zeros_like(posterior.log_var)]
        if self.form == "softmax":
            return [tf.nn.softmax(posterior.mu), tf.nn.softmax(posterior.log_var)]
        return [posterior.mu, posterior.log_var]

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """Return the end of a warning: the regularizer is not a divergence."""
        return (
            f"kl=raw kl.form={self.form} is not a divergence from the prior: it exists to be measured; kl=analytic is"
        )
