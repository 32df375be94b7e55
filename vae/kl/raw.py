"""What people write and should not: the Keras function applied to numbers that are no probabilities."""

from typing import Any

import keras
import tensorflow as tf

from vae.kl.base import DirectedKL, check_gaussian

FORMS = ("parameters", "softmax", "log_var")


class Raw(DirectedKL):
    """`keras.losses.kl_divergence` of a Gaussian's parameters, in three forms that are found in public code.

    - "parameters": of the means and the log-variances, `kl_divergence(z_mean, z_log_var)`.
    - "softmax": of their softmax over the latent variables.
    - "log_var": of the log-variances and the prior's, which are 0.

    None is a divergence between posterior and prior. The function clips its arguments to [1e-7, 1], so what is negative
    has no gradient. It exists to be measured.

    Args:
        direction: "forward", the arguments as they stand above; "reverse", swapped; "symmetric", the mean of the two.
        form: one of the three.

    Raises:
        ValueError: for another direction or form.
    """

    def __init__(self, direction: str = "forward", form: str = "parameters") -> None:
        super().__init__(direction)
        if form not in FORMS:
            raise ValueError(f"kl.form={form}: must be one of {', '.join(FORMS)}")
        self.form = form

    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """What the function makes of two rows of numbers, with its sum undone: `(batch, latents)`."""
        # The last axis, over which the function sums, gets a length of one
        return keras.losses.kl_divergence(first[..., tf.newaxis], second[..., tf.newaxis])

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        """The terms of the function's sum, `(batch, latents)`."""
        check_gaussian("kl=raw", "misuses the means and log-variances of a Gaussian", posterior, prior)
        return self.directed(self.divergence, *self.function_arguments(posterior, prior))

    def function_arguments(self, posterior: Any, prior: Any) -> list[tf.Tensor]:
        """What the function is applied to: two tensors `(batch, latents)`."""
        if self.form == "log_var":
            return [posterior.log_var, prior.log_var + tf.zeros_like(posterior.log_var)]
        if self.form == "softmax":
            return [tf.nn.softmax(posterior.mu), tf.nn.softmax(posterior.log_var)]
        return [posterior.mu, posterior.log_var]

    def exact(self, posterior: Any, prior: Any) -> tf.Tensor:
        """D[q || p] in nats, `(batch, latents)`."""
        return posterior.kl_divergence(prior)

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """That it is no divergence."""
        return f"kl=raw kl.form={self.form} is no divergence from the prior: it exists to be measured; kl=analytic is"
