"""Divergences of plain vectors: against SciPy, NumPy and Keras, at the borders, and what is said of bad ones."""

import math
import re
from collections.abc import Callable
from typing import Any, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

from vae.kl import divergence
from vae.kl.arguments import Reduction

IMPLEMENTATIONS = ("backend", "keras_loss", "analytic")
DIRECTIONS = ("forward", "reverse", "symmetric", "jensen_shannon")
REDUCTIONS = (*get_args(Reduction), None)
TINY = float(np.finfo(np.float32).tiny)

Vectors = NDArray[np.float64]


@pytest.fixture
def vectors() -> tuple[Vectors, Vectors]:
    """Two of shape (4, 3, 7), with no entry that Keras would clip."""
    generator = np.random.default_rng(0)
    p, q = 0.9 * generator.dirichlet(np.ones(7), (2, 4, 3)) + 0.1 / 7
    return p, q


def expected(p: Vectors, q: Vectors, direction: str) -> Vectors:
    """By SciPy, in float64."""
    forward, reverse = rel_entr(p, q).sum(axis=-1), rel_entr(q, p).sum(axis=-1)
    return {
        "forward": forward,
        "reverse": reverse,
        "symmetric": (forward + reverse) / 2,
        "jensen_shannon": np.square(jensenshannon(p, q, axis=-1)),
    }[direction]


def gradients(p: Any, q: Any, **options: Any) -> list[NDArray[Any]]:
    p, q = tf.constant(p), tf.constant(q)
    with tf.GradientTape() as tape:
        tape.watch([p, q])
        value = divergence(p, q, **options)
    return [slope.numpy() for slope in tape.gradient(value, [p, q])]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_agrees_with_scipy(implementation: str, vectors: tuple[Vectors, Vectors]) -> None:
    for direction in DIRECTIONS:
        values = divergence(*vectors, implementation=implementation, direction=direction)
        np.testing.assert_allclose(values, expected(*vectors, direction), rtol=1e-12, err_msg=direction)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_the_article_s_example(implementation: str) -> None:
    for p, q in [([0.5, 0.5], [0.8, 0.2]), (tf.constant([0.5, 0.5]), np.array([0.8, 0.2]))]:
        value = divergence(p, q, implementation=implementation)
        assert value.shape == ()
        assert f"{float(value):.4f}" == "0.2231"
    rows = divergence([[0.5, 0.5], [1.0, 0.0]], [[0.8, 0.2], [0.5, 0.5]], implementation=implementation)
    assert rows.numpy().tolist() == pytest.approx([0.5 * math.log(0.25 / 0.16), math.log(2)], abs=2e-6)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_class_is_the_function_to_the_bit(direction: str, vectors: tuple[Vectors, Vectors]) -> None:
    for dtype in (np.float32, np.float64):
        p, q = (vector.astype(dtype) for vector in vectors)
        function, loss = (divergence(p, q, implementation=name, direction=direction) for name in IMPLEMENTATIONS[:2])
        assert np.array_equal(function, loss)
        if direction == "forward":
            assert np.array_equal(function, keras.losses.kl_divergence(p, q))
            assert np.array_equal(loss, keras.losses.KLDivergence(reduction=None, dtype=p.dtype.name)(p, q))


def test_zeros_and_infinities() -> None:
    p = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.2, 0.8]])
    q = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.3, 0.0, 0.7]])
    for direction in DIRECTIONS:
        np.testing.assert_allclose(divergence(p, q, direction=direction), expected(p, q, direction), rtol=1e-14)
        assert np.isfinite(gradients(p, q, direction=direction)).all()
    assert divergence(p, q).numpy().tolist() == [0.0, math.log(2), math.inf, math.inf]
    clipped = divergence(p, q, implementation="backend").numpy()
    assert clipped[2] == pytest.approx(math.log(1e7), rel=1e-5)


def test_the_jensen_shannon_divergence_is_at_most_log_2() -> None:
    for apart in ([1.0, 0.0], [0.0, 1.0]), ([1.0, 0.0], [TINY, 1.0]), ([1.0, TINY], [1.0, 0.0]):
        value = float(divergence(*apart, direction="jensen_shannon"))
        assert 0.0 <= value <= np.float32(math.log(2))
    assert value == 0.0


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_gradients_agree_with_finite_differences(direction: str, vectors: tuple[Vectors, Vectors]) -> None:
    p, q = (vector[0, :1] for vector in vectors)
    step = 1e-6

    def slope(place: int, of_first: bool) -> float:
        shift = step * np.eye(7)[place]
        ends = [(p + sign * shift, q) if of_first else (p, q + sign * shift) for sign in (1, -1)]
        above, below = (float(divergence(*end, direction=direction, reduction="sum", validate=False)) for end in ends)
        return (above - below) / (2 * step)

    numeric = [[[slope(place, of_first) for place in range(7)]] for of_first in (True, False)]
    np.testing.assert_allclose(gradients(p, q, direction=direction), numeric, rtol=1e-6, atol=1e-8)


def test_gradients_at_zeros() -> None:
    first, second = gradients([0.5, 0.5, 0.0, 0.0], [0.25, 0.5, 0.25, 0.0])
    np.testing.assert_allclose(first, [1.0 + math.log(2), 1.0, 0.0, 0.0], rtol=1e-6)
    np.testing.assert_allclose(second, [-2.0, -1.0, 0.0, 0.0], rtol=1e-6)
    smallest = gradients([0.5, 0.5], [TINY, 1.0])
    np.testing.assert_allclose(smallest, [[1.0 + math.log(0.5 / TINY), 1.0 + math.log(0.5)], [-0.5 / TINY, -0.5]], 1e-6)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_each_reduction(implementation: str, vectors: tuple[Vectors, Vectors]) -> None:
    """Against the formulas, without weights and with those of examples, `(4, 1)`, and of single vectors, `(4, 3)`."""
    values = expected(*vectors, "symmetric")
    generator = np.random.default_rng(1)
    for weight in (None, generator.random((4, 1)), generator.random((4, 3))):
        products = values if weight is None else weight * values
        formulas = {
            "none": products,
            None: products,
            "sum": products.sum(),
            "sum_over_batch_size": products.sum() / 12,
            "mean": products.sum() / 12,
            "mean_with_sample_weight": products.sum() / (12 if weight is None else weight.sum()),
        }
        assert formulas.keys() == {*REDUCTIONS}
        options: dict[str, Any] = {"implementation": implementation, "direction": "symmetric", "sample_weight": weight}
        for reduction, formula in formulas.items():
            reduced = divergence(*vectors, reduction=reduction, **options)
            np.testing.assert_allclose(reduced, formula, rtol=1e-12, err_msg=str(reduction))


OF_EXAMPLES = np.array([0.0, 1.0, 2.0, 0.5])


@pytest.mark.parametrize(
    ("rows", "weight"),
    [
        (np.s_[:, :], None),
        (np.s_[:, :], 3.0),
        (np.s_[:, :], np.array([1.0, 0.0, 2.0])),
        (np.s_[:, :], OF_EXAMPLES[:, np.newaxis]),
        (np.s_[:, :1], OF_EXAMPLES),
        (np.s_[:, 0], OF_EXAMPLES[:, np.newaxis]),
        (np.s_[:, 0], OF_EXAMPLES),
        (np.s_[0, 0], 3.0),
    ],
)
def test_weights_and_reductions_are_the_class_s(rows: Any, weight: Any, vectors: tuple[Vectors, Vectors]) -> None:
    """To the bit, whatever the ranks: where only one of values and weights ends in an axis of length 1, too."""
    p, q = (vector[rows] for vector in vectors)
    for reduction in REDUCTIONS:
        ours = divergence(p, q, implementation="backend", reduction=reduction, sample_weight=weight)
        theirs = keras.losses.KLDivergence(reduction=reduction, dtype="float64")(p, q, sample_weight=weight)
        assert np.array_equal(np.ravel(ours), np.ravel(theirs)), reduction
        assert ours.shape == (p.shape[:-1] if reduction in ("none", None) else ())


def test_a_weight_of_zero_leaves_an_infinity_out() -> None:
    p, q, weight = [[0.5, 0.5], [0.5, 0.5]], [[0.8, 0.2], [1.0, 0.0]], [1.0, 0.0]
    value = divergence(p, q, reduction="mean_with_sample_weight", sample_weight=weight)
    assert f"{float(value):.4f}" == "0.2231"
    assert np.isfinite(gradients(p, q, reduction="sum", sample_weight=weight)).all()
    assert float(divergence(p, q, reduction="mean_with_sample_weight", sample_weight=[0.0, 0.0])) == 0.0


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_in_a_traced_graph(implementation: str, jit_compile: bool, vectors: tuple[Vectors, Vectors]) -> None:
    @tf.function(jit_compile=jit_compile)
    def values(p: tf.Tensor, q: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([p, q])
            value = divergence(
                p, q, implementation=implementation, direction="jensen_shannon", reduction="sum", sample_weight=[[2.0]]
            )
        return value, tape.gradient(value, [p, q])

    options = {"implementation": implementation, "direction": "jensen_shannon"}
    value, slopes = values(*map(tf.constant, vectors))
    np.testing.assert_allclose(value, 2 * expected(*vectors, "jensen_shannon").sum(), rtol=1e-12)
    np.testing.assert_allclose(slopes, gradients(*vectors, **options, reduction="sum", sample_weight=2.0), rtol=1e-10)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_zeros_in_a_traced_graph(jit_compile: bool) -> None:
    traced = tf.function(divergence, jit_compile=jit_compile)
    p, q = tf.constant([[1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]), tf.constant([[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]])
    assert traced(p, q).numpy().tolist() == pytest.approx([math.log(2), math.inf, 0.0])


@pytest.mark.parametrize(
    ("dtype", "computed", "tolerance"),
    [
        (tf.float16, tf.float32, 1e-3),
        (tf.bfloat16, tf.float32, 1e-2),
        (tf.float32, tf.float32, 1e-6),
        (tf.float64, tf.float64, 1e-14),
    ],
)
def test_dtypes(dtype: tf.DType, computed: tf.DType, tolerance: float) -> None:
    """The rounded vectors pass the check of their sums, and what is computed of them is not rounded again."""
    logits = np.random.default_rng(0).normal(size=(2, 5, 50))
    p, q = (tf.nn.softmax(tf.constant(logit, dtype)) for logit in logits)
    exact = expected(*(tf.nn.softmax(logit).numpy() for logit in logits), "forward")
    for implementation in IMPLEMENTATIONS:
        value = divergence(p, q, implementation=implementation)
        assert value.dtype == computed
        np.testing.assert_allclose(value, exact, rtol=10 * tolerance, atol=tolerance)
        assert gradients(p, q, implementation=implementation)[0].dtype == dtype


def test_dtypes_of_two_inputs() -> None:
    assert divergence([1, 0], [0.5, 0.5]).dtype == tf.float32
    assert divergence(np.array([1, 0]), np.float32([0.5, 0.5])).dtype == tf.float32
    mixed = divergence([0.1, 0.9], np.array([0.1, 0.9]))
    assert mixed.dtype == tf.float64
    assert float(mixed) == 0.0
    assert divergence(tf.constant([0.1, 0.9]), tf.constant([0.1, 0.9], tf.float64)).dtype == tf.float64


GOOD = [[0.5, 0.5], [0.2, 0.8]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GOOD, GOOD[0]), "q.shape=(2,): must be p's, (2, 2); nothing is broadcast"),
        ((GOOD, GOOD[:1]), "q.shape=(1, 2): must be p's, (2, 2); nothing is broadcast"),
        (([[1.0]], [[1.0]]), "p.shape=(1, 1): must be (..., classes), of 2 classes or more"),
        ((1.0, 1.0), "p.shape=(): must be (..., classes), of 2 classes or more"),
        ((GOOD, [[0.5, 0.5], [0.2, 0.7]]), "q[1] sums to 0.9: must be 1, within 0.0001"),
        (([0.5, 0.4], [0.5, 0.5]), "p sums to 0.9: must be 1, within 0.0001"),
        ((np.ones((2, 3, 4)) / 4, np.ones((2, 3, 4)) / 5), "q[0, 0] sums to 0.8: must be 1, within 1e-06"),
        (([[0.5, 0.5], [np.nan, 1.0]], GOOD), "p[1] sums to nan: must hold no NaN"),
        (([[0.5, 0.5], [np.inf, 0.0]], GOOD), "p[1] sums to inf: must be 1, within 0.0001"),
        ((GOOD, [[1.5, -0.5], [0.5, 0.5]]), "q[0] sums to 1: must hold no negative entry"),
    ],
)
def test_refuses_bad_vectors(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        divergence(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"implementation": "exact"}, "implementation=exact: .*'backend', 'keras_loss' or 'analytic'"),
        ({"direction": "up"}, "direction=up: .*'forward', 'reverse' or 'symmetric' or .*'jensen_shannon'"),
        ({"reduction": "median"}, "reduction=median: .*'mean_with_sample_weight', 'sum' or 'none'"),
        ({"sample_weight": [1.0] * 3}, re.escape("sample_weight.shape=(3,): must broadcast to p.shape[:-1], (2,)")),
        ({"sample_weight": [[1.0] * 2] * 2}, re.escape("sample_weight.shape=(2, 2): must broadcast to p.shape[:-1]")),
    ],
)
def test_refuses_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        divergence(GOOD, GOOD, **options)


def traced(**options: Any) -> Callable[..., tf.Tensor]:
    """The divergence, in a graph whose shapes are known when it runs."""
    signature = [tf.TensorSpec([None, None])] * 2
    return tf.function(lambda p, q: divergence(p, q, **options), input_signature=signature)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GOOD, GOOD[:1]), "q: must have p's shape; nothing is broadcast"),
        (([[1.0]], [[1.0]]), "p: must have 2 classes or more"),
        (([[0.5, 0.4]], [[0.5, 0.5]]), "p: rows must sum to 1, within 0.0001"),
        (([[0.5, 0.5]], [[np.nan, 0.5]]), "q: must hold no NaN and no negative entry"),
        (([[0.5, 0.5]], [[1.5, -0.5]]), "q: must hold no NaN and no negative entry"),
    ],
)
def test_checks_a_graph_where_it_is_asked_to(arguments: tuple[Any, Any], message: str) -> None:
    arguments = (tf.constant(arguments[0]), tf.constant(arguments[1]))
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        traced(validate=True)(*arguments)
    assert message.replace("'", "\\'") in str(raised.value)
    traced()(*arguments)


def test_checks_nothing_where_it_is_told_not_to() -> None:
    assert float(divergence([1.0, 1.0], [0.5, 0.5], validate=False)) == pytest.approx(2 * math.log(2))
    assert divergence(GOOD, GOOD[0], validate=False).shape == (2,)
    np.testing.assert_allclose(traced(validate=True)(tf.constant(GOOD), tf.constant(GOOD)), [0.0, 0.0])
