"""Divergences of probability vectors, without posterior, prior or sample: each implementation by its name."""

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from vae.kl.arguments import Direction, Reduction, mean_over_pairs
from vae.options import check_option

Implementation = Literal["backend", "keras_loss", "analytic"]

#: The allowed difference of a row's sum from 1, by the dtype of the argument.
TOLERANCES = {"float64": 1e-6, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}


def divergence(
    p: ArrayLike | tf.Tensor,
    q: ArrayLike | tf.Tensor,
    *,
    implementation: Implementation = "analytic",
    direction: Direction | Literal["jensen_shannon"] = "forward",
    reduction: Reduction | None = "none",
    sample_weight: ArrayLike | tf.Tensor | None = None,
    validate: bool | None = None,
) -> tf.Tensor:
    """Return the divergence between probability vectors in nats; by default a value for each pair of vectors.

    >>> from vae.kl import divergence
    >>> for implementation in ("backend", "keras_loss", "analytic"):
    ...     print(f"{float(divergence([0.5, 0.5], [0.8, 0.2], implementation=implementation)):.4f}")
    0.2231
    0.2231
    0.2231
    >>> float(divergence([0.5, 0.5], [1.0, 0.0]))
    inf

    The computation is in float64 if an argument is float64, else in float32, also for half precision and integers.

    Args:
        p: probability vectors along the last axis, `(..., classes)`. For the ELBO's own D[q(z|x) || p(z)] the posterior
            comes first and is this argument.
        q: probability vectors of the same shape.
        implementation: "backend", the function `keras.losses.kl_divergence`; "keras_loss", the class
            `keras.losses.KLDivergence`; or "analytic", the definition. Function and class clip both vectors to
            [1e-7, 1]: no value exceeds 16.118 nats, and a clipped entry has no gradient. The definition clips nothing:
            0 * log(0) is 0, and the divergence is infinite if the second vector is 0 and the first is not. Its
            gradient is that of its finite terms, also if the vectors hold zeros: with respect to a zero of the first
            vector, at which the slope is infinite, it is 0. Subnormal numbers, which TensorFlow flushes, count as 0.
        direction: "forward", D[p || q] = sum p * log(p / q) (Kullback and Leibler 1951, "On information and
            sufficiency"); "reverse", D[q || p]; "symmetric", the mean of the two; "jensen_shannon", the mean of
            D[p || m] and D[q || m] by the same implementation, with the mixture m = (p + q) / 2: at most log 2 (Lin
            1991, "Divergence measures based on the Shannon entropy").
        reduction: the class's reductions of the weighted values. "none" or None, the values, `p.shape[:-1]`, so that
            two single vectors give a scalar; "sum" of the values; "sum_over_batch_size" or "mean", their sum over their
            number, the class's own default; "mean_with_sample_weight", their sum over the sum of the weights in the
            shape given. A single value stays the same under every reduction. With "keras_loss" the class itself
            reduces, and so divides its means by the number of replicas inside a `tf.distribute` strategy.
        sample_weight: weights of the pairs of vectors, which broadcast to `p.shape[:-1]` from its last axis on, as in
            Keras: give weights `(batch,)` of examples with several vectors each, `(batch, latents, classes)`, as
            `(batch, 1)`. A weight of 0 leaves its pair out even if the divergence is infinite, except that with
            "keras_loss" the class multiplies.
        validate: whether to check that both arguments have one shape of at least 2 classes, no NaN and no negative
            entry, and that rows sum to 1, within 1e-6 in float64, 1e-4 in float32, 0.01 in float16 and 0.05 in
            bfloat16. None checks outside a traced graph only. Inside one, shapes are checked while it is traced and
            values by `tf.debugging`, which XLA leaves out. Unchecked arguments broadcast, or give a number without
            meaning.

    Returns:
        Nats, float64 or float32: of the shape `p.shape[:-1]` for "none", else a scalar.

    Raises:
        UserError: if an option has an unknown value.
        ValueError: if `validate` finds an error.
        tf.errors.InvalidArgumentError: if it finds one in values while a traced graph runs.
    """
    check_option("implementation", Implementation, implementation)
    check_option("direction", Direction | Literal["jensen_shannon"], direction)
    check_option("reduction", Reduction | None, reduction)

    dtype = "float64" if "float64" in (_dtype_name(p), _dtype_name(q)) else "float32"
    first, second = (keras.ops.convert_to_tensor(vectors, dtype) for vectors in (p, q))
    weight = None if sample_weight is None else _aligned(sample_weight, first.shape[:-1], dtype)
    eager = tf.executing_eagerly()
    if eager if validate is None else validate:
        _check_shapes(first, second, weight)
        for name, vectors, given in (("p", first, p), ("q", second, q)):
            tolerance = TOLERANCES.get(_dtype_name(given), TOLERANCES[dtype])
            (_check_rows if eager else _assert_rows)(name, vectors, tolerance)

    def term(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        if implementation == "keras_loss":
            loss = keras.losses.KLDivergence(reduction=reduction, dtype=dtype)
            return loss(first, second, sample_weight=weight)
        function = keras.losses.kl_divergence if implementation == "backend" else _definition
        return _reduce(function(first, second), weight, reduction)

    if direction == "jensen_shannon":
        # Half of the smallest normal number would be flushed to 0, and the divergence from that is infinite
        mixture = tf.maximum(0.5 * (first + second), np.finfo(dtype).tiny)
        return 0.5 * (term(first, mixture) + term(second, mixture))
    return mean_over_pairs(direction, term, first, second)


def _dtype_name(vectors: Any) -> str:
    return keras.backend.standardize_dtype(vectors.dtype) if hasattr(vectors, "dtype") else ""


def _definition(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Return D[first || second] in nats, unclipped, `(...)` from `(..., classes)`."""
    counts, possible = first > 0.0, second > 0.0
    both = counts & possible
    # Not log(first / second), whose gradient squares the second. The ones keep NaN out of the gradient
    log_ratio = tf.math.log(tf.where(both, first, 1.0)) - tf.math.log(tf.where(both, second, 1.0))
    others = tf.where(counts & ~possible, tf.constant(np.inf, first.dtype), 0.0)
    return tf.reduce_sum(tf.where(both, first * log_ratio, others), axis=-1)


def _aligned(sample_weight: Any, shape: tf.TensorShape, dtype: str) -> tf.Tensor:
    """Return weights that broadcast to a shape; as in Keras, a last axis of length 1 that only one has is ignored."""
    weight = keras.ops.convert_to_tensor(sample_weight, dtype)
    if weight.shape.rank == shape.rank - 1 and shape[-1] == 1:
        return weight[..., tf.newaxis]
    if weight.shape.rank == shape.rank + 1 and weight.shape[-1] == 1:
        return weight[..., 0]
    return weight


def _reduce(values: tf.Tensor, weight: tf.Tensor | None, reduction: str | None) -> tf.Tensor:
    """Return the values as the class would reduce them."""
    weighted = values if weight is None else tf.math.multiply_no_nan(values, weight)
    if reduction in ("none", None) or weighted.shape.rank == 0:
        return weighted
    total = tf.reduce_sum(weighted)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weight is not None:
        return tf.math.divide_no_nan(total, tf.reduce_sum(weight))
    return tf.math.divide_no_nan(total, tf.cast(tf.size(weighted), total.dtype))


def _check_shapes(p: tf.Tensor, q: tf.Tensor, weight: tf.Tensor | None) -> None:
    if not q.shape.is_compatible_with(p.shape):
        raise ValueError(f"q.shape={q.shape}: must be p's, {p.shape}; nothing is broadcast")
    if p.shape.rank == 0 or p.shape[-1] in (0, 1):
        raise ValueError(f"p.shape={p.shape}: must be (..., classes), of 2 classes or more")
    if weight is not None and not _broadcasts(weight.shape, p.shape[:-1]):
        raise ValueError(f"sample_weight.shape={weight.shape}: must broadcast to p.shape[:-1], {p.shape[:-1]}")
    if not tf.executing_eagerly():  # an axis may have no length yet
        tf.debugging.assert_equal(tf.shape(q), tf.shape(p), "q: must have p's shape; nothing is broadcast")
        tf.debugging.assert_greater(tf.shape(p)[-1], 1, "p: must have 2 classes or more")


def _broadcasts(shape: tf.TensorShape, target: tf.TensorShape) -> bool:
    """Return True if a shape broadcasts to the target, and the target stays as it is."""
    try:
        return tf.broadcast_static_shape(shape, target).is_compatible_with(target)
    except ValueError:
        return False


def _check_rows(name: str, vectors: tf.Tensor, tolerance: float) -> None:
    """Raise a ValueError that names the first bad row."""
    entries, sums = vectors.numpy(), tf.reduce_sum(vectors, axis=-1).numpy()
    faults = {
        "must hold no NaN": np.isnan(entries).any(axis=-1),
        "must hold no negative entry": (entries < 0.0).any(axis=-1),
        f"must be 1, within {tolerance:g}": np.abs(sums - 1.0) > tolerance,
    }
    for fault, bad in faults.items():
        if np.any(bad):
            index = tuple(int(place) for place in np.argwhere(bad)[0])
            raise ValueError(f"{name}{list(index) if index else ''} sums to {sums[index]:.6g}: {fault}")


def _assert_rows(name: str, vectors: tf.Tensor, tolerance: float) -> None:
    """Assert in a traced graph that every row is a probability vector; the error is raised when the graph runs."""
    tf.debugging.assert_non_negative(vectors, f"{name}: must hold no NaN and no negative entry")
    sums = tf.reduce_sum(vectors, axis=-1)
    tf.debugging.assert_near(
        sums, tf.ones_like(sums), rtol=0.0, atol=tolerance, message=f"{name}: rows must sum to 1, within {tolerance:g}"
    )
