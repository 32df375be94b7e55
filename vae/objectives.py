"""Objectives: the changes to a regularizer from outside, such as free bits and capacity. No regularizer knows them."""

from abc import ABC, abstractmethod
from typing import Any

import tensorflow as tf

from vae.errors import UserError
from vae.kl import KLRegularizer, PerLatentRegularizer
from vae.options import Duration, NonNegativeFloat, PositiveInt, Unit
from vae.random import Key
from vae.saving import Configurable
from vae.schedules import Linear


class Objective(Configurable, ABC):
    """Base class of all objectives, `reconstruction + beta * term(regularizer)`: a subclass defines the term."""

    @abstractmethod
    def term(
        self,
        kl: KLRegularizer,
        posterior: Any,
        prior: Any,
        z: tf.Tensor,
        *,
        key: Key,
        step: Any,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Return the term that training adds to the reconstruction, before beta: a float32 scalar in nats.

        Args:
            kl: the regularizer.
            posterior: q(z|x), a distribution over `(batch, latents)`.
            prior: p(z), a distribution that broadcasts against the posterior.
            z: a sample of the posterior, `(batch, z_size)`.
            key: the key of the regularizer's own samples.
            step: the number of the training step, counted from 0.
            sample_weight: weights of the examples, `(batch,)`, or None for ones.
        """

    def explain_scale(self) -> str:
        """Return the end of a warning: why the term may not be a multiple of the regularizer; empty if it is one."""
        return ""


class ELBO(Objective):
    """The negative ELBO, weighted by beta; without options the term is the regularizer itself.

    Args:
        free_bits: nats that each group of latent variables has for free: if the values of a group, averaged over the
            batch, sum to less, the term is this number and has no gradient. Kingma et al. 2016, "Improved variational
            inference with inverse autoregressive flow". With values that are estimated from draws, as by
            `kl=monte_carlo`, the term is too high near this number, E max(free_bits, X) >= max(free_bits, E X), and a
            group below it has a gradient in the steps in which its estimate is above.
        group_size: the number of consecutive latent variables in a group. It must divide their number.
        capacity: c, in nats: the term becomes `|regularizer - C|`, and C rises from 0. Burgess et al. 2018,
            "Understanding disentangling in beta-VAE", equation 8, whose gamma is beta here. None for no capacity.
        ramp: the duration of the rise of C, in `unit`.
        unit: "steps" or "epochs", the unit of `ramp`.
        steps_per_epoch: the number of steps in an epoch, for `unit="epochs"`. `train.py` fills it in.

    Raises:
        UserError: if the unit is "epochs" and `steps_per_epoch` is None.
    """

    def __init__(
        self,
        free_bits: NonNegativeFloat = 0.0,
        group_size: PositiveInt = 1,
        capacity: NonNegativeFloat | None = None,
        ramp: Duration = 1.0,
        unit: Unit = "steps",
        steps_per_epoch: PositiveInt | None = None,
    ) -> None:
        self.free_bits = free_bits
        self.group_size = group_size
        self.capacity = capacity
        self.ramp = ramp
        self.unit = unit
        self.steps_per_epoch = steps_per_epoch
        self._risen = None if capacity is None else Linear(ramp, 0.0, capacity, unit, steps_per_epoch)

    def term(
        self,
        kl: KLRegularizer,
        posterior: Any,
        prior: Any,
        z: tf.Tensor,
        *,
        key: Key,
        step: Any,
        sample_weight: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Return the regularizer, with free bits and capacity if they are set: a float32 scalar in nats.

        Raises:
            UserError: if free bits are set and the regularizer has no values per latent variable, or the groups do not
                divide the latent variables.
        """
        if self.free_bits:
            value = self._with_free_bits(kl, posterior, prior, z, key, sample_weight)
        else:
            value = kl(posterior, prior, z, key=key, sample_weight=sample_weight)
        return value if self._risen is None else tf.abs(value - self._risen(step))

    def explain_scale(self) -> str:
        """Return the effect of free bits or capacity on the weight of the regularizer; empty without them."""
        if self.capacity is not None:
            return f"With objective.capacity={self.capacity:g} the weight is beta above it and minus beta below it"
        if self.free_bits:
            return f"With objective.free_bits={self.free_bits:g} a group of latent variables below it has no weight"
        return ""

    def _with_free_bits(
        self, kl: KLRegularizer, posterior: Any, prior: Any, z: tf.Tensor, key: Key, sample_weight: tf.Tensor | None
    ) -> tf.Tensor:
        """Return the regularizer of which every group below its free bits is a constant."""
        if not isinstance(kl, PerLatentRegularizer):
            raise UserError(
                f"objective.free_bits={self.free_bits}: {type(kl).__name__} has no values per latent variable; "
                "kl=analytic has"
            )
        values = kl.per_latent(posterior, prior, z, key=key)
        latents = values.shape[1]
        if latents % self.group_size:
            raise UserError(f"objective.group_size={self.group_size}: does not divide {latents} latent variables")
        if sample_weight is None:
            means = tf.reduce_mean(values, axis=0)
        else:
            weight = tf.cast(sample_weight, tf.float32)
            means = tf.math.divide_no_nan(tf.linalg.matvec(values, weight, transpose_a=True), tf.reduce_sum(weight))
        groups = tf.reduce_sum(tf.reshape(means, [-1, self.group_size]), axis=1)
        below = tf.repeat(groups < self.free_bits, self.group_size)
        return kl.reduce(tf.where(below, self.free_bits / self.group_size, values), sample_weight)
