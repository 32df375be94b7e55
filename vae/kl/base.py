"""The contract of a KL regularizer: posterior, prior, sample and key in, the scalar that enters the loss out."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from vae.errors import UserError
from vae.kl.arguments import Direction, mean_over_pairs
from vae.kl.weight import Scale, scale_of
from vae.latents import Gaussian, LatentFamily
from vae.random import Key
from vae.saving import Configurable


def canonical_mean(per_example: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
    """Return the weighted mean over examples of a `(batch,)` tensor: a scalar, 0 if every weight is 0."""
    if sample_weight is None:
        return tf.reduce_mean(per_example)
    weight = tf.cast(sample_weight, per_example.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(weight * per_example), tf.reduce_sum(weight))


class KLRegularizer(Configurable, ABC):
    """Base class of all regularizers: a subclass can be trained, by `kl._target_=my_module.MyKL`.

    The constructor of a subclass keeps each argument in an attribute of the same name. A saved model rebuilds the
    regularizer from them.
    """

    estimates_kl: bool = True  # False if it is another divergence on purpose

    @abstractmethod
    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the regularizer in nats: a float32 scalar, before beta.

        Args:
            posterior: q(z|x), a distribution over `(batch, latents)` such as `vae.latents.Gaussian`.
            prior: p(z), a distribution that broadcasts against the posterior.
            z: a sample of the posterior, `(batch, z_size)`.
            key: the key of all samples that the regularizer draws itself. It is not the key of z.
            sample_weight: weights of the examples, `(batch,)`, or None for ones.
        """

    def scale(self, latent: LatentFamily, batch_size: int) -> Scale:
        """Return the factor between this regularizer and the canonical KL: 1 if the two are the same.

        The factor is measured (`vae.kl.weight.scale_of`). It is None if the regularizer is not a multiple of the KL.

        Args:
            latent: the family of latent variables.
            batch_size: the number of examples, on which a reduction may depend.
        """

        def term(posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, step: Any) -> tf.Tensor:
            return self(posterior, prior, z, key=key)

        return scale_of(term, latent, batch_size)

    def function_arguments(self, posterior: Any, prior: Any) -> list[tf.Tensor]:
        """Return the tensors that a Keras function clips to [1e-7, 1], for the audit; empty if none is used."""
        return []

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """Return the end of a warning: the reason for the scale, and the override that makes it canonical."""
        if not self.estimates_kl:
            return (
                f"{type(self).__name__} is another divergence on purpose and, far from the prior, not a multiple of "
                "the KL; its weight is beta.value"
            )
        direction = getattr(self, "direction", "forward")
        if direction != "forward":
            formula = {"reverse": "D[p||q]", "symmetric": "the mean of D[q||p] and D[p||q]"}.get(
                direction, "another one"
            )
            return f"kl.direction={direction} is {formula}; the ELBO's KL is D[q||p], kl.direction=forward"
        return (
            f"{type(self).__name__} is not D[q||p], summed over the {latents} latent variables and averaged over the "
            f"{batch_size} examples; kl=analytic is"
        )


class PerLatentRegularizer(KLRegularizer):
    """A regularizer with a value for each example and latent variable, and the canonical reduction."""

    @abstractmethod
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        """Return the values in nats, `(batch, latents)`, before any reduction.

        Args:
            posterior: q(z|x), a distribution over `(batch, latents)`.
            prior: p(z), a distribution that broadcasts against the posterior.
            z: a sample of the posterior, `(batch, z_size)`.
            key: the key of all samples that the regularizer draws itself.
        """

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """Return the weighted mean over examples of the sum over latent variables: a float32 scalar in nats.

        Args:
            values: `(batch, latents)`.
            sample_weight: weights of the examples, `(batch,)`, or None for ones.
        """
        return canonical_mean(tf.reduce_sum(values, axis=-1), sample_weight)

    def __call__(
        self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the reduced values: a float32 scalar in nats."""
        return self.reduce(self.per_latent(posterior, prior, z, key=key), sample_weight)


class DirectedKL(PerLatentRegularizer):
    """A divergence per example and latent variable in one of three directions, with the canonical reduction.

    A subclass defines D[first || second]; direction and reduction are here.

    Args:
        direction: "forward", D[q || p], the ELBO's own; "reverse", D[p || q]; "symmetric", the mean of the two.
    """

    def __init__(self, direction: Direction = "forward") -> None:
        self.direction = direction

    @abstractmethod
    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """Return D[first || second] in nats, `(batch, latents)`, before any reduction."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        """Return the divergence in this regularizer's direction in nats, `(batch, latents)`."""
        return self.directed(self.divergence, posterior, prior)

    def directed(self, term: Callable[[Any, Any], tf.Tensor], posterior: Any, prior: Any) -> tf.Tensor:
        """Return the mean of `term(first, second)` over the pairs of this regularizer's direction."""
        return mean_over_pairs(self.direction, term, posterior, prior)


def check_gaussian(option: str, reason: str, *distributions: Any) -> None:
    """Refuse distributions that are not diagonal Gaussians.

    Args:
        option: the user's choice that needs Gaussians, such as "kl=raw".
        reason: the reason, the rest of a sentence that begins with the option.
        *distributions: the distributions to check.

    Raises:
        UserError: with option and reason, if one is not Gaussian.
    """
    for distribution in distributions:
        if not isinstance(distribution, Gaussian):
            raise UserError(
                f"{option} {reason}, and this is a {type(distribution).__name__}; kl=analytic is exact "
                "for latent=categorical and latent=bernoulli, kl=monte_carlo takes any prior"
            )


def check_signature(regularizer: KLRegularizer) -> None:
    """Refuse a regularizer whose methods do not take the contract's arguments.

    Raises:
        UserError: with the method and the signature that it must have.
    """
    key_only, weighted = {"key": None}, {"key": None, "sample_weight": None}
    methods = {"__call__": (weighted, "(self, posterior, prior, z, *, key, sample_weight=None)")}
    if isinstance(regularizer, PerLatentRegularizer):
        methods["per_latent"] = (key_only, "(self, posterior, prior, z, *, key)")
    for name, (keywords, signature) in methods.items():
        method = getattr(type(regularizer), name)
        try:
            inspect.signature(method).bind(regularizer, None, None, None, **keywords)
        except TypeError as error:
            raise UserError(f"{type(regularizer).__name__}.{name} must be {name}{signature}: {error}") from None
