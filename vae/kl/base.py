"""What a KL regularizer is: the posterior, the prior and a sample in, the scalar that enters the loss out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from vae.errors import UserError
from vae.latents import Gaussian
from vae.saving import Configurable

DIRECTIONS = ("forward", "reverse", "symmetric")


def canonical_mean(per_example: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
    """The weighted mean over examples of a `(batch,)` tensor: a scalar, 0 where every weight is 0."""
    if sample_weight is None:
        return tf.reduce_mean(per_example)
    weight = tf.cast(sample_weight, per_example.dtype)
    return tf.math.divide_no_nan(tf.reduce_sum(weight * per_example), tf.reduce_sum(weight))


def check_gaussian(option: str, reason: str, *distributions: Any) -> None:
    """Raises a UserError that names the option and says why, where a distribution is no diagonal Gaussian."""
    for distribution in distributions:
        if not isinstance(distribution, Gaussian):
            raise UserError(
                f"{option} {reason}, and this is a {type(distribution).__name__}; kl=analytic is exact "
                "for latent=categorical and latent=bernoulli, kl=monte_carlo takes any prior"
            )


class KLRegularizer(Configurable, ABC):
    """The contract. Whatever follows it can be trained: `kl._target_=my_module.MyKL`.

    The arguments of a subclass's constructor are kept in attributes of the same names; the configuration that is saved
    with a model is read from them.
    """

    estimates_kl: ClassVar[bool] = True  # a class that is another divergence by intention says False

    @abstractmethod
    def __call__(self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """The regularizer, in nats: a float32 scalar, before beta.

        One that draws samples of its own draws them by `vae.random.own_key()`, so that a run can be repeated.

        Args:
            posterior: q(z|x), a distribution over `(batch, latents)` such as `vae.latents.Gaussian`.
            prior: p(z), a distribution that broadcasts against the posterior.
            z: a sample of the posterior, `(batch, latents)`.
            sample_weight: weights of the examples, `(batch,)`, or None for ones.
        """

    def scale(self, near: Any, far: Any, prior: Any) -> float:
        """How many times the canonical KL this regularizer is: 1 where it has the canonical reduction.

        Effective beta is beta times this. It is measured, not declared: by how much the regularizer grows from one
        posterior to another, against the canonical KL.

        Args:
            near: a posterior equal to the prior, `(batch, latents)`.
            far: one further off.
            prior: p(z).
        """
        grown = self(far, prior, far.mean) - self(near, prior, near.mean)
        canonical = tf.reduce_mean(tf.reduce_sum(self.exact(far, prior), axis=-1))
        return float(f"{float(grown / canonical):.6g}")  # float32 knows no more digits

    def exact(self, posterior: Any, prior: Any) -> tf.Tensor:
        """The closed form that `scale` holds the regularizer against: D[q || p] in nats, `(batch, latents)`."""
        return posterior.kl_divergence(prior)

    def function_arguments(self, posterior: Any, prior: Any) -> list[tf.Tensor]:
        """The tensors that the Keras function clips to [1e-7, 1], where one is used: the audit counts how many are."""
        return []

    def explain_scale(self, batch_size: int, latents: int) -> str:
        """Why the scale is what it is, and the override that would make it canonical: the end of a warning."""
        if not self.estimates_kl:
            return (
                f"{type(self).__name__} is another divergence by intention, and further from the prior no multiple of "
                "the KL; beta.value weighs it"
            )
        return (
            f"{type(self).__name__} does not sum over the {latents} latent variables and average over the "
            f"{batch_size} examples; kl=analytic is canonical"
        )


class PerLatentRegularizer(KLRegularizer):
    """A regularizer that has a value for each example and latent variable, and the canonical reduction of them."""

    @abstractmethod
    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        """The values in nats, `(batch, latents)`, before any reduction. Arguments as for the call."""

    def reduce(self, values: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """The sum over latent variables of values `(batch, latents)`, averaged over examples: a float32 scalar."""
        return canonical_mean(tf.reduce_sum(values, axis=-1), sample_weight)

    def __call__(self, posterior: Any, prior: Any, z: tf.Tensor, sample_weight: tf.Tensor | None = None) -> tf.Tensor:
        """The reduced values: a float32 scalar in nats."""
        return self.reduce(self.per_latent(posterior, prior, z), sample_weight)


class DirectedKL(PerLatentRegularizer):
    """A divergence per example and latent variable, in a direction, with the canonical reduction.

    A subclass says what D[first || second] is; direction and reduction are here.

    Args:
        direction: "forward", D[q || p], the ELBO's own; "reverse", D[p || q]; "symmetric", the mean of the two.

    Raises:
        ValueError: for another direction.
    """

    def __init__(self, direction: str = "forward") -> None:
        if direction not in DIRECTIONS:
            raise ValueError(f"kl.direction={direction}: must be one of {', '.join(DIRECTIONS)}")
        self.direction = direction

    @abstractmethod
    def divergence(self, first: Any, second: Any) -> tf.Tensor:
        """D[first || second] in nats, `(batch, latents)`, before any reduction."""

    def per_latent(self, posterior: Any, prior: Any, z: tf.Tensor) -> tf.Tensor:
        """The divergence in this regularizer's direction, in nats, `(batch, latents)`, before any reduction."""
        return self.directed(self.divergence, posterior, prior)

    def exact(self, posterior: Any, prior: Any) -> tf.Tensor:
        """The closed form in this regularizer's direction, in nats, `(batch, latents)`."""
        return self.directed(lambda first, second: first.kl_divergence(second), posterior, prior)

    def directed(self, term: Callable[[Any, Any], tf.Tensor], posterior: Any, prior: Any) -> tf.Tensor:
        """`term(first, second)` for D[first || second], in this regularizer's direction."""
        if self.direction == "forward":
            return term(posterior, prior)
        if self.direction == "reverse":
            return term(prior, posterior)
        return 0.5 * (term(posterior, prior) + term(prior, posterior))
