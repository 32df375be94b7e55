"""Log-probabilities and densities in nats, against scipy in float64."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from scipy.integrate import quad_vec
from scipy.stats import bernoulli, logistic, norm

from vae.errors import UserError
from vae.likelihoods import (
    BernoulliLikelihood,
    DequantizedGaussianLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    Likelihood,
    LocationScaleLikelihood,
)

SHAPE = (3, 4, 5, 2)
COLOR = (3, 4, 5, 3)
Array = NDArray[np.float64]


def stored(levels: Any, count: int) -> NDArray[np.float32]:
    """Levels as images store them: in 8 bits, divided by 255."""
    return (np.round(np.asarray(levels) * 255 / (count - 1)) / 255).astype(np.float32)


def bin_masses(levels: Array, count: int, locations: Array, scale: float, family: Any = logistic) -> Array:
    """Probabilities of levels: the family's mass between the edges of their bins; the outer edges are infinite."""
    lower = np.where(levels == 0, -np.inf, (levels - 0.5) / (count - 1))
    upper = np.where(levels == count - 1, np.inf, (levels + 0.5) / (count - 1))
    lower, upper = (edge - locations for edge in (lower, upper))
    beyond = lower > 0  # the smaller of the two tails keeps its precision
    return np.where(
        beyond,
        family.sf(lower, scale=scale) - family.sf(upper, scale=scale),
        family.cdf(upper, scale=scale) - family.cdf(lower, scale=scale),
    )


def every_level(count: int) -> NDArray[np.float32]:
    """One image of one pixel for each level."""
    return stored(np.arange(count), count).reshape(count, 1, 1, 1)


LIKELIHOODS = [
    BernoulliLikelihood(),
    GaussianLikelihood(),
    GaussianLikelihood(0.25),
    DequantizedGaussianLikelihood(17),
    DiscretizedLogisticLikelihood(),
    DiscretizedLogisticLikelihood(17, 0.02),
]


def test_bernoulli_log_prob_is_summed_over_pixels() -> None:
    generator = np.random.default_rng(0)
    logits, images = generator.normal(size=SHAPE), (generator.random(SHAPE) < 0.5).astype(np.float64)
    expected = bernoulli.logpmf(images, 1 / (1 + np.exp(-logits))).sum(axis=(1, 2, 3))
    measured = BernoulliLikelihood().log_prob(images.astype(np.float32), tf.constant(logits, tf.float32))
    assert measured.shape == (3,)
    assert np.allclose(measured, expected, rtol=1e-5)


@pytest.mark.parametrize(("scale", "sigma"), [(0.3, 0.3), ("learned", 0.1), (2, 2.0)])
def test_gaussian_log_prob_is_a_proper_density(scale: float | str, sigma: float) -> None:
    generator = np.random.default_rng(0)
    means, images = generator.random(SHAPE), generator.random(SHAPE)
    expected = norm.logpdf(images, means, sigma).sum(axis=(1, 2, 3))
    likelihood = GaussianLikelihood(scale)
    measured = likelihood.log_prob(images.astype(np.float32), tf.constant(means, tf.float32))
    # softplus moves the learned scale's start by 0.024 in its logarithm
    assert np.allclose(measured, expected, rtol=0.06 if scale == "learned" else 1e-5)
    if scale == "learned":
        exact = norm.logpdf(images, means, float(tf.exp(likelihood.log_scale))).sum(axis=(1, 2, 3))
        assert np.allclose(measured, exact, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "floor"),
    [(GaussianLikelihood, -6.0), (DequantizedGaussianLikelihood, -9.0), (DiscretizedLogisticLikelihood, -9.0)],
)
def test_the_learned_scale_is_trainable_and_bounded(kind: type[LocationScaleLikelihood], floor: float) -> None:
    likelihood = kind()
    assert [weight.name for weight in likelihood.trainable_weights] == ["log_scale"]
    assert float(likelihood.log_scale) == pytest.approx(np.log(0.1), abs=0.03)
    likelihood.trainable_weights[0].assign(-1000.0)
    assert float(likelihood.log_scale) == pytest.approx(floor)
    assert GaussianLikelihood(0.5).trainable_weights == []


@pytest.mark.parametrize("scale", [0, -1.0, "wide", None])
def test_refuses_another_scale(scale: object) -> None:
    with pytest.raises(UserError, match=r"scale=.*'learned' or .*(number|greater than 0)"):
        GaussianLikelihood(scale)  # type: ignore[arg-type]


def test_a_likelihood_of_the_user_is_registered_and_checked() -> None:
    class Laplace(Likelihood):
        def __init__(self, width: float = 0.1, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.width = width

        def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
            return -tf.reduce_sum(tf.abs(images - parameters), axis=(1, 2, 3)) / self.width

        def call(self, parameters: tf.Tensor) -> tf.Tensor:
            return parameters

        def initial_parameters(self, mean_image: NDArray[np.float32]) -> NDArray[np.float32]:
            return mean_image

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "width": self.width}

    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Laplace(0.2)))
    assert again.width == 0.2
    assert again.kind_of(tf.zeros(SHAPE)) == "unknown"
    with pytest.raises(UserError, match="width=wide"):
        Laplace("wide")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="abstract"):
        Likelihood()  # type: ignore[abstract]


def test_means_are_images() -> None:
    outputs = tf.constant(np.random.default_rng(0).normal(scale=3, size=SHAPE), tf.float32)
    for likelihood in LIKELIHOODS:
        images = likelihood(outputs).numpy()
        assert images.shape == SHAPE
        assert images.min() >= 0
        assert images.max() <= 1


def test_initial_parameters_give_back_the_mean() -> None:
    mean = np.random.default_rng(0).uniform(0.05, 0.95, size=(4, 5, 2)).astype(np.float32)
    for likelihood in LIKELIHOODS:
        again = likelihood(likelihood.initial_parameters(mean)[np.newaxis])
        assert np.allclose(again[0], mean, atol=1e-6)
        assert np.isfinite(likelihood.initial_parameters(np.zeros((2, 2, 1), np.float32))).all()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_comes_back_from_its_configuration(likelihood: keras.layers.Layer) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(likelihood))
    assert again.get_config() == likelihood.get_config()


@pytest.mark.parametrize(("count", "shape"), [(2, SHAPE), (17, SHAPE), (256, SHAPE), (256, COLOR)])
@pytest.mark.parametrize("scale", [0.004, 0.05, 2.0])
def test_discretized_logistic_log_prob_is_that_of_bins(count: int, shape: tuple[int, ...], scale: float) -> None:
    generator = np.random.default_rng(0)
    levels = generator.integers(0, count, shape)
    locations = np.float32(levels / (count - 1) + generator.normal(scale=scale, size=shape)).astype(np.float64)
    expected = np.log(bin_masses(levels, count, locations, scale)).sum(axis=(1, 2, 3))
    measured = DiscretizedLogisticLikelihood(count, scale).log_prob(
        tf.constant(stored(levels, count)), tf.constant(locations, tf.float32)
    )
    assert measured.shape == (3,)
    assert measured.dtype == tf.float32
    assert np.allclose(measured, expected, rtol=1e-4)


@pytest.mark.parametrize("count", [2, 17, 256])
@pytest.mark.parametrize("scale", [1e-30, 1e-4, 0.1, 30.0, 1e30])
@pytest.mark.parametrize("location", [-1e6, -0.3, 0.0, 0.5, 0.77, 1.0, 1e6])
def test_the_levels_probabilities_sum_to_one(count: int, scale: float, location: float) -> None:
    """At every extreme the gradient is finite as well."""
    locations = tf.fill([count, 1, 1, 1], np.float32(location))
    likelihood = DiscretizedLogisticLikelihood(count, scale)
    with tf.GradientTape() as tape:
        tape.watch(locations)
        values = likelihood.log_prob(every_level(count), locations)
    assert np.isfinite(tape.gradient(values, locations)).all()
    assert np.exp(values.numpy().astype(np.float64)).sum() == pytest.approx(1.0, abs=1e-5)
    assert values.numpy().max() <= 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_the_gradient_of_the_discretized_logistic(dtype: str) -> None:
    """With respect to locations and learned scale, under XLA, against differences of the float64 formula."""
    count, generator = 17, np.random.default_rng(1)
    levels = generator.integers(0, count, (40, 1, 1, 1))
    locations = tf.cast(generator.normal(0.5, 0.5, levels.shape), dtype)
    likelihood = DiscretizedLogisticLikelihood(count)
    raw = likelihood.trainable_weights[0]

    @tf.function(jit_compile=True)
    def gradients(images: tf.Tensor, parameters: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            value = tf.reduce_sum(likelihood.log_prob(images, parameters))
        return tape.gradient(value, [parameters, raw.value])

    by_location, by_raw = gradients(tf.constant(stored(levels, count)), locations)
    exact, step = tf.cast(locations, tf.float64).numpy(), 1e-6

    def total(shift: float = 0.0, raw_shift: float = 0.0) -> Array:
        log_scale = -9 + np.logaddexp(0, float(raw.numpy()) + raw_shift + 9)
        return np.log(bin_masses(levels, count, exact + shift, np.exp(log_scale)))

    expected = (total(step) - total(-step)) / (2 * step)
    precision = {"float16": 2e-3, "bfloat16": 1e-2, "float32": 1e-4}[dtype]  # of the gradient, which has this dtype
    assert np.allclose(tf.cast(by_location, tf.float64), expected, rtol=precision, atol=precision)
    by_scale = (total(raw_shift=step) - total(raw_shift=-step)).sum() / (2 * step)
    assert float(by_raw) == pytest.approx(by_scale, rel=1e-3)


@pytest.mark.parametrize("far", [-1e6, 1e6])
def test_a_location_far_off_is_drawn_back(far: float) -> None:
    """Check the slope at which both sigmoids are equal in float32: one over the scale, towards the level."""
    locations = tf.fill([1, 1, 1, 1], np.float32(far))
    with tf.GradientTape() as tape:
        tape.watch(locations)
        image = tf.fill([1, 1, 1, 1], np.float32(100 / 255))
        value = DiscretizedLogisticLikelihood(256, 0.1).log_prob(image, locations)
    assert tape.gradient(value, locations).numpy().item() == pytest.approx(-np.sign(far) / 0.1)


@pytest.mark.parametrize(("count", "scale"), [(17, 0.02), (17, 0.3), (256, 0.003)])
def test_the_mean_of_the_discretized_logistic(count: int, scale: float) -> None:
    """Half a level from the sum over the levels at most, for locations beyond black and white as well."""
    locations = np.linspace(-1, 2, 31)
    masses = bin_masses(np.arange(count), count, locations[:, np.newaxis], scale)
    exact = masses @ np.arange(count) / (count - 1)
    likelihood = DiscretizedLogisticLikelihood(count, scale)
    measured = likelihood(tf.constant(locations.reshape(-1, 1, 1, 1), tf.float32)).numpy().ravel()
    assert np.abs(measured - exact).max() < 0.5 / (count - 1) + 1e-6
    if scale > 0.1:  # the bins are narrow beside it
        assert measured == pytest.approx(exact, abs=1e-3)


@pytest.mark.parametrize("count", [2, 17, 256])
@pytest.mark.parametrize("in_bins", [0.3, 1.0, 10.0])
def test_dequantization_bounds_the_probability_of_a_level(count: int, in_bins: float) -> None:
    """Against quadrature over the noise, and below the exact mass of the bin, to which it is close at large scales."""
    scale, spacing = in_bins / (count - 1), 1 / (count - 1)
    levels = np.arange(count).reshape(count, 1, 1, 1)
    locations = np.random.default_rng(0).normal(levels * spacing, 2 * scale).astype(np.float32).astype(np.float64)
    errors = levels * spacing - locations
    mean_log_density, _ = quad_vec(
        lambda noise: norm.logpdf(errors + noise, scale=scale) / spacing, -spacing / 2, spacing / 2
    )
    measured = DequantizedGaussianLikelihood(count, scale).log_prob(
        every_level(count), tf.constant(locations, tf.float32)
    )
    expected = (mean_log_density + np.log(spacing)).ravel()
    assert np.allclose(measured, expected, rtol=1e-4, atol=1e-4)
    upper, lower = ((np.abs(errors) + side * spacing / 2) / scale for side in (1, -1))
    exact = np.log(norm.sf(lower) - norm.sf(upper)).ravel()
    assert (measured.numpy() <= exact + 1e-3).all()
    if in_bins == 10.0:
        near = np.abs(errors.ravel()) < 2 * scale
        assert measured.numpy()[near] == pytest.approx(exact[near], abs=4e-3)


def test_the_scale_of_dequantized_pixels_stays_above_that_of_the_noise() -> None:
    """Pixels that are predicted exactly: the best scale is that of the uniform noise, not zero."""
    likelihoods = [DequantizedGaussianLikelihood(17, scale / 100) for scale in range(1, 10)]
    pixels = every_level(17)
    values = [float(tf.reduce_sum(likelihood.log_prob(pixels, pixels))) for likelihood in likelihoods]
    assert likelihoods[int(np.argmax(values))].scale == pytest.approx(1 / 16 / np.sqrt(12), abs=0.005)


KINDS: list[tuple[Likelihood, float, str]] = [
    (BernoulliLikelihood(), 0.0, "probability"),
    (BernoulliLikelihood(), 0.5, "cross_entropy"),
    (GaussianLikelihood(), 0.0, "density"),
    *(
        (kind(count), level, "probability")
        for kind in (DequantizedGaussianLikelihood, DiscretizedLogisticLikelihood)
        for count, level in ((17, 3 / 16), (256, 100 / 255), (2, 1.0))
    ),
    (DiscretizedLogisticLikelihood(17), 50 / 255, "rounded"),
    (DequantizedGaussianLikelihood(256), 0.3333, "rounded"),
]


@pytest.mark.parametrize(("likelihood", "pixel", "kind"), KINDS)
def test_what_the_value_is_the_logarithm_of(likelihood: Likelihood, pixel: float, kind: str) -> None:
    images = np.zeros((2, 3, 3, 1), np.float32)
    count = getattr(likelihood, "levels", 0)
    images[1, 2, 2] = stored(pixel * (count - 1), count) if kind == "probability" and count else pixel
    assert likelihood.kind_of(tf.constant(images)) == kind


@pytest.mark.parametrize("levels", [1, 257, 16.0, "many"])
def test_refuses_other_numbers_of_levels(levels: object) -> None:
    with pytest.raises(UserError, match=f"levels={levels}: .*(2|256|integer)"):
        DiscretizedLogisticLikelihood(levels)  # type: ignore[arg-type]


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("shape", [(28, 28, 1), (3, 3, 1), (5, 4, 2)], ids=str)
def test_several_samples_of_an_image_have_the_log_prob_of_each(
    likelihood: Likelihood, shape: tuple[int, int, int]
) -> None:
    generator = np.random.default_rng(4)
    images = (generator.random((3, *shape)) < 0.4).astype(np.float32)
    parameters = generator.normal(0, 6, (3, 4, *shape)).astype(np.float32)
    measured = likelihood.log_prob_of_samples(tf.constant(images), tf.constant(parameters)).numpy()
    assert measured.shape == (3, 4)
    for sample in range(4):
        one = likelihood.log_prob(tf.constant(images), tf.constant(parameters[:, sample])).numpy()
        assert measured[:, sample] == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-4, 1.0, 30.0, 200.0])
@pytest.mark.parametrize("side", [16, 28])
def test_bernoulli_samples_against_float64(side: int, size: float) -> None:
    """Near 0 the product of 64 factors is at its largest, 2^64; at 200 every factor is 1."""
    generator = np.random.default_rng(5)
    x = (generator.random((2, side, side, 1)) < 0.4).astype(np.float32)
    logits = generator.normal(0, 1, (2, 3, side, side, 1)).astype(np.float32) * np.float32(size)
    exact = np.sum(x[:, np.newaxis] * logits.astype(np.float64) - np.logaddexp(0, logits.astype(np.float64)), (2, 3, 4))
    measured = BernoulliLikelihood().log_prob_of_samples(tf.constant(x), tf.constant(logits)).numpy()
    # float32 sums of up to 784 terms, each with an error of at most 6e-8 of itself or of 1
    assert measured == pytest.approx(exact, rel=2e-6, abs=784 * 6e-8)


def test_a_subclass_with_its_own_log_prob_does_not_inherit_the_fast_form() -> None:
    class Tempered(BernoulliLikelihood):
        def log_prob(self, images: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
            return 0.5 * super().log_prob(images, parameters)

    images, parameters = tf.ones([1, 2, 2, 1]), tf.zeros([1, 3, 2, 2, 1])
    measured = Tempered().log_prob_of_samples(images, parameters).numpy()
    assert measured == pytest.approx(np.full((1, 3), -2 * np.log(2)))
