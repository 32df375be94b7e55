"""What stands around a regularizer: free bits and capacity. A regularizer knows nothing of them."""

from typing import Any

import tensorflow as tf

from vae.errors import UserError
from vae.kl import KLRegularizer, PerLatentRegularizer
from vae.saving import Configurable
from vae.schedules import Linear


class ELBO(Configurable):
    """The objective `reconstruction + beta * term(regularizer)`; without options the term is the regularizer itself.

    Args:
        free_bits: nats that each group of latent variables has for nothing: of a group whose values, averaged over the
            batch, come to less, the term has this number, and no gradient. Kingma et al. 2016, "Improved variational
            inference with inverse autoregressive flow", equation 15. 0 for none.
        group_size: how many latent variables a group has, one after the other; they must divide the latent variables.
        capacity: C, in nats: the term is then `|regularizer - C|`, with C rising from 0. Burgess et al. 2018,
            "Understanding disentangling in beta-VAE", equation 8, where beta is their gamma. None for none.
        ramp: over how many steps C rises to its value.

    Raises:
        ValueError: for a number below 0, or a ramp or group of less than 1.
    """

    def __init__(
        self, free_bits: float = 0.0, group_size: int = 1, capacity: float | None = None, ramp: float = 1.0
    ) -> None:
        for name, value, least in (("free_bits", free_bits, 0), ("group_size", group_size, 1), ("ramp", ramp, 1)):
            if value < least:
                raise ValueError(f"objective.{name}={value}: must be {least} or more")
        if capacity is not None and capacity < 0:
            raise ValueError(f"objective.capacity={capacity}: must be 0 or more")
        self.free_bits = free_bits
        self.group_size = group_size
        self.capacity = capacity
        self.ramp = ramp

    def term(
        self, kl: KLRegularizer, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None, step: Any
    ) -> tf.Tensor:
        """What training adds to the reconstruction, before beta: a float32 scalar in nats.

        Args:
            kl: the regularizer.
            posterior: its argument, and so are the next three.
            prior: p(z).
            z: a sample of the posterior.
            sample_weight: weights of the examples, or None.
            step: the number of the training step.

        Raises:
            UserError: for free bits where the regularizer has no values for each latent variable, or the groups do
                not divide those.
        """
        if self.free_bits:
            value = self._with_free_bits(kl, posterior, prior, z, sample_weight)
        else:
            value = kl(posterior, prior, z, sample_weight)
        if self.capacity is not None:
            value = tf.abs(value - Linear(self.ramp, 0.0, self.capacity)(step))
        return value

    def _with_free_bits(
        self, kl: KLRegularizer, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None
    ) -> tf.Tensor:
        if not isinstance(kl, PerLatentRegularizer):
            raise UserError(
                f"objective.free_bits={self.free_bits}: {type(kl).__name__} has no value for each latent variable to "
                "leave free; kl=analytic has"
            )
        values = kl.per_latent(posterior, prior, z)
        latents = values.shape[1]
        if latents % self.group_size:
            raise UserError(f"objective.group_size={self.group_size}: does not divide {latents} latent variables")
        if sample_weight is None:
            means = tf.reduce_mean(values, axis=0)
        else:
            weight = tf.cast(sample_weight, tf.float32)
            means = tf.math.divide_no_nan(tf.linalg.matvec(values, weight, transpose_a=True), tf.reduce_sum(weight))
        groups = tf.reduce_sum(tf.reshape(means, [-1, self.group_size]), axis=1)
        spent = tf.repeat(groups < self.free_bits, self.group_size)
        return kl.reduce(tf.where(spent, self.free_bits / self.group_size, values), sample_weight)
