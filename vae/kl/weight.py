"""The weight that a term gives the canonical KL, measured by its gradient."""

import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from vae.latents import LatentFamily, kl_per_example
from vae.random import Key, Stream, fold_in, key

#: A term of the loss, in nats: `term(posterior, prior, z, key=key, step=step)`
Term = Callable[..., tf.Tensor]
Draw = Callable[[Any, Key], tf.Tensor]

DISTANCES = (1.0, 0.5, 0.1)  # of the probes from the prior, the most decisive first
STEPS = (0, 2**31 - 1)  # an objective may change with the step, as a capacity does
WEIGHT_TOLERANCE = 0.05  # relative; up to it two weights count as one
RESIDUAL_TOLERANCE = 0.005  # on the probes, multiples have less than 1e-4; the nearest other, jensen_shannon, has 0.010
REFERENCE_DRAWS = 64  # for each image: the KL of a batch is then known to some hundredths of a nat
ERRORS = 4.0  # the standard errors that a measured number may be off
_ENTRIES = 2**18  # of the gradients of all draws: the standard error of a weight is then a few thousandths
_MOST_DRAWS = 2048


class Gradients(NamedTuple):
    """Gradients of a scalar with respect to a posterior's parameters, one for each draw.

    Attributes:
        values: the scalars, `(draws,)`, in nats.
        rows: the gradients, `(draws, parameters)`: all parameters of all examples in one row. In float64, because
            products of rows are sums of millions of small terms, which float32 does not keep.
    """

    values: tf.Tensor
    rows: tf.Tensor

    @property
    def draws(self) -> int:
        """The number of draws."""
        return int(self.rows.shape[0])

    @property
    def value(self) -> tf.Tensor:
        """The mean of the scalars, in nats."""
        return tf.reduce_mean(self.values)

    @property
    def error(self) -> tf.Tensor:
        """The standard error of `value`; 0 for one draw, which is then exact."""
        return _standard_error(self.values, self.draws)

    @property
    def square(self) -> tf.Tensor:
        """An unbiased estimate of the squared length of the expected gradient, from the pairs of different draws."""
        return _mean_of_pairs(tf.matmul(self.rows, self.rows, transpose_b=True))

    @property
    def mean(self) -> tf.Tensor:
        """The mean gradient, `(parameters,)`."""
        return tf.reduce_mean(self.rows, axis=0)


class LocalWeight(NamedTuple):
    """The weight that a term gives the exact KL for some posteriors, and the rest of its gradient.

    With g, the term's expected gradient with respect to the posteriors' parameters, and g*, that of the exact KL in
    the canonical reduction, `g = weight * g* + rest`, and the rest is orthogonal to g*.

    Attributes:
        weight: `g . g* / |g*|^2`: the cosine times the ratio of the lengths. 1 for the KL, beta for beta times the KL.
        residual: `|rest|^2 / |g|^2`, from 0, a multiple of the KL here, to 1, another direction.
        weight_error: the standard error of the weight; 0 if nothing is drawn.
        residual_error: the standard error of the residual; 0 if nothing is drawn.
    """

    weight: Any
    residual: Any
    weight_error: Any
    residual_error: Any

    def is_multiple(self) -> bool:
        """Return True if the gradient is a multiple of the KL's, as far as the standard error tells."""
        return bool(self.residual <= RESIDUAL_TOLERANCE + ERRORS * self.residual_error)

    def agrees(self, weight: float, error: float = 0.0) -> bool:
        """Return True if the weight is this one, up to 5 % and the standard errors of both."""
        allowed = WEIGHT_TOLERANCE * abs(weight) + ERRORS * (float(self.weight_error) ** 2 + error**2) ** 0.5
        return bool(abs(self.weight - weight) <= allowed)


class Scale(NamedTuple):
    """The relation of a term to the canonical KL, measured on artificial posteriors before training.

    Attributes:
        factor: the number that the term is times the canonical KL; None if it is no multiple of it.
        weight: the weight of the KL in the term's gradient on the probe at distance 1 (`LocalWeight`).
        residual: the share of the squared gradient that is orthogonal to the KL's, on the same probe.
        is_estimate: True if the term draws samples.
    """

    factor: float | None
    weight: float
    residual: float
    is_estimate: bool


def gradients(
    term: Callable[..., tf.Tensor], posterior: Any, prior: Any, draw: Draw, keys: Any, draws: Any
) -> Gradients:
    """Return the values and gradients of a term for several draws of z and of the term's own samples.

    Args:
        term: the function `term(posterior, prior, z, key=key)`.
        posterior: q(z|x), a distribution over `(batch, latents)`.
        prior: p(z).
        draw: the function from a posterior and a key to z, `(batch, z_size)`, differentiable.
        keys: the key of z and the key of the term's own samples.
        draws: the number of draws, or a scalar tensor of it.
    """
    key_of_z, own_key = keys
    parameters = list(posterior.parameters.values())

    @tf.autograph.experimental.do_not_convert
    def one(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            z = draw(posterior, fold_in(key_of_z, number))
            value = term(posterior, prior, z, key=fold_in(own_key, number))
        parts = tape.gradient(value, parameters, unconnected_gradients="zero")
        return value, tf.cast(tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0), tf.float64)

    if isinstance(draws, int) and draws == 1:
        value, row = one(tf.constant(0))
        return Gradients(value[tf.newaxis], row[tf.newaxis])
    return Gradients(*tf.map_fn(one, tf.range(draws), fn_output_signature=(tf.float32, tf.float64)))


def reference_gradients(posterior: Any, prior: Any, key: Key) -> Gradients:
    """Return the gradient of the canonical KL D[q || p]: exact, or from many draws if there is no closed form.

    Args:
        posterior: q(z|x), a distribution over `(batch, latents)`.
        prior: p(z).
        key: the key of the draws, which must be independent of those that are compared with the result.
    """
    draws = 1 if type(posterior) is type(prior) else REFERENCE_DRAWS

    def kl(posterior: Any, prior: Any, z: tf.Tensor, *, key: Key) -> tf.Tensor:
        return tf.reduce_mean(kl_per_example(posterior, prior, z))

    return gradients(kl, posterior, prior, lambda posterior, key: posterior.sample(key), (key, key), draws)


def local_weight(term: Gradients, kl: Gradients) -> LocalWeight:
    """Return the weight of the KL in a term, from the gradients of both.

    Args:
        term: the term's gradients.
        kl: the KL's: one row if it is exact, several that were drawn independently of the term's if it is an estimate.
    """
    square = kl.square
    along = tf.math.divide_no_nan(tf.linalg.matvec(term.rows, kl.mean), square)  # the weight by each draw
    products = tf.matmul(term.rows, term.rows, transpose_b=True)
    rest = products - square * along[:, tf.newaxis] * along
    length = _mean_of_pairs(products)
    draws = term.rows.shape[0]
    return LocalWeight(
        weight=tf.reduce_mean(along),
        residual=tf.clip_by_value(tf.math.divide_no_nan(_mean_of_pairs(rest), tf.nn.relu(length)), 0.0, 1.0),
        weight_error=_standard_error(along, draws),
        residual_error=tf.math.divide_no_nan(_standard_error(_pairs(rest), draws * (draws - 1) // 2), tf.abs(length)),
    )


def scale_of(term: Term, latent: LatentFamily, batch_size: int) -> Scale:
    """Return the factor between a term and the canonical KL, measured on probes within a unit of the prior.

    The term is a multiple of the KL if on each probe, and at the first and at a late step, its gradient has the
    direction of the KL's and the same weight. An estimate is judged by its expectation, from many draws.

    Args:
        term: the function `term(posterior, prior, z, key=key, step=step)`.
        latent: the family of latent variables, whose own prior is used.
        batch_size: the number of examples, on which a reduction may depend.
    """
    measure = _Probes(term, latent, batch_size)
    start, *others = itertools.product(DISTANCES, STEPS)
    first = measure(*start, draws=measure.few)
    found = Scale(None, float(first.weight), float(first.residual), measure.is_estimate)
    if not first.is_multiple():
        return found
    decisive = measure(*start, draws=measure.many) if measure.is_estimate else first
    weight, error = float(decisive.weight), float(decisive.weight_error)
    if not decisive.is_multiple() or weight == 0.0 or not first.agrees(weight, error):
        return found
    for place in others:
        other = measure(*place, draws=measure.few)
        if not (other.is_multiple() and other.agrees(weight, error)):
            return found
    return found._replace(factor=_rounded(weight, error), weight=weight, residual=float(decisive.residual))


class _Probes:
    """Measurements of a term on artificial posteriors."""

    def __init__(self, term: Term, latent: LatentFamily, batch_size: int) -> None:
        self._term = term
        self._latent = latent
        self._batch_size = batch_size
        signature = [tf.TensorSpec([], dtype) for dtype in (tf.float32, tf.int32, tf.int32)]
        self._in_graph = tf.function(self._gradients, autograph=False).get_concrete_function(*signature)
        first, second = self._in_graph(*map(tf.constant, (DISTANCES[0], STEPS[0], 2))).rows
        self.is_estimate = not bool(tf.reduce_all(first == second))
        self.few = 16 if self.is_estimate else 1
        self.many = min(max(_ENTRIES // first.shape[0], self.few), _MOST_DRAWS) if self.is_estimate else 1

    def __call__(self, distance: float, step: int, draws: int) -> LocalWeight:
        posterior, prior = self._latent.probe(self._batch_size, distance), self._latent.prior()
        kl = reference_gradients(posterior, prior, _probe_keys()[0])
        return local_weight(self._in_graph(*map(tf.constant, (distance, step, draws))), kl)

    def _gradients(self, distance: tf.Tensor, step: tf.Tensor, draws: tf.Tensor) -> Gradients:
        posterior, prior = self._latent.probe(self._batch_size, distance), self._latent.prior()

        def draw(posterior: Any, key: Key) -> tf.Tensor:
            return self._latent.training_sample(posterior, key, step)

        term = functools.partial(self._term, step=step)
        return gradients(term, posterior, prior, draw, _probe_keys(), draws)


def _probe_keys() -> tuple[Key, Key]:
    return key(0, Stream.PROBE, 0), key(0, Stream.PROBE, 1)


def _pairs(products: tf.Tensor) -> tf.Tensor:
    """Return the entries above the diagonal of a symmetric matrix, those of two different draws."""
    count = products.shape[0]
    return tf.boolean_mask(products, tf.linalg.band_part(tf.ones([count, count]), 0, -1) - tf.eye(count) > 0.0)


def _mean_of_pairs(products: tf.Tensor) -> tf.Tensor:
    """Return the mean over pairs of different draws; of a single draw, which is then exact, its own entry."""
    return products[0, 0] if products.shape[0] == 1 else tf.reduce_mean(_pairs(products))


def _standard_error(values: tf.Tensor, count: int) -> tf.Tensor:
    return tf.math.reduce_std(values) / (count - 1) ** 0.5 if count > 1 else tf.zeros([], values.dtype)


def _rounded(weight: float, error: float) -> float:
    """Return a weight with the digits that it has: six in float32, fewer if it is an estimate."""
    digits = 6 if error == 0.0 else 2 if error < 0.01 * abs(weight) else 1
    return float(f"{weight:.{digits}g}")
