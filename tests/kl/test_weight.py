"""The weight of the KL in a term, against gradients by formulas in float64 and against planted multiples."""

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from tests.kl.conftest import build
from vae.kl import (
    Analytic,
    DirectedKL,
    JensenShannon,
    KerasLoss,
    MaximumMeanDiscrepancy,
    MonteCarlo,
    TotalCorrelation,
)
from vae.kl.weight import Gradients, LocalWeight, _rounded, gradients, local_weight, reference_gradients
from vae.latents import BernoulliLatent, CategoricalLatent, Gaussian, GaussianLatent, GaussianMixture
from vae.objectives import ELBO
from vae.random import Key, Stream, key

LATENT = GaussianLatent(7)
KEYS = (key(0, Stream.AUDIT_POSTERIOR, 0), key(0, Stream.AUDIT_REGULARIZER, 0))


def draw(posterior: Any, key: Key) -> tf.Tensor:
    return posterior.sample(key)


def forward_gradient(mu: NDArray[np.float64], log_var: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of D[q||p], canonical, by hand in float64."""
    return np.stack([mu, 0.5 * (np.exp(log_var) - 1.0)]) / len(mu)


def reverse_gradient(mu: NDArray[np.float64], log_var: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([mu * np.exp(-log_var), 0.5 * (1.0 - (1.0 + mu**2) * np.exp(-log_var))]) / len(mu)


def posteriors(batch: int = 40, latents: int = 3) -> tuple[NDArray[np.float64], NDArray[np.float64], Gaussian]:
    generator = np.random.default_rng(0)
    mu, log_var = generator.normal(size=(batch, latents)), generator.uniform(-2.0, 0.5, size=(batch, latents))
    return mu, log_var, Gaussian(tf.constant(mu, tf.float32), tf.constant(log_var, tf.float32))


def weight_of(term: Any, posterior: Any, prior: Any, draws: int = 1) -> LocalWeight:
    measured = gradients(term, posterior, prior, draw, KEYS, draws)
    return local_weight(measured, reference_gradients(posterior, prior, key(0, Stream.AUDIT_REFERENCE, 0)))


def test_the_weight_is_the_projection_on_the_exact_gradient() -> None:
    """beta times cosine times ratio of the lengths, and the share of the square that is left: in float64 by hand."""
    mu, log_var, posterior = posteriors()
    exact, other = forward_gradient(mu, log_var).ravel(), 0.3 * reverse_gradient(mu, log_var).ravel()
    cosine = exact @ other / np.linalg.norm(exact) / np.linalg.norm(other)
    reverse = Analytic("reverse")
    found = weight_of(lambda *arguments, key: 0.3 * reverse(*arguments, key=key), posterior, GaussianLatent(3).prior())
    assert float(found.weight) == pytest.approx(cosine * np.linalg.norm(other) / np.linalg.norm(exact), rel=1e-4)
    assert float(found.residual) == pytest.approx(1.0 - cosine**2, abs=1e-4)
    assert (float(found.weight_error), float(found.residual_error)) == (0.0, 0.0)


@pytest.mark.thorough
def test_an_estimate_is_judged_by_its_expectation() -> None:
    """One draw of Monte Carlo is at a cosine of about 0.7; the expectation of its gradient is the exact one."""
    _, _, posterior = posteriors()
    prior = GaussianLatent(3).prior()
    one = weight_of(MonteCarlo(), posterior, prior)
    assert float(one.residual) > 0.3
    many = weight_of(MonteCarlo(), posterior, prior, draws=256)
    assert abs(float(many.weight) - 1.0) < 4.0 * float(many.weight_error) < 0.1
    assert float(many.residual) < 4.0 * float(many.residual_error) < 0.02


@pytest.mark.thorough
def test_the_standard_errors_are_those_of_repetitions() -> None:
    _, _, posterior = posteriors()
    prior = GaussianLatent(3).prior()
    weights, residuals, errors = [], [], []
    reverse = MonteCarlo("reverse")
    for number in range(40):
        keys = (key(number, Stream.AUDIT_POSTERIOR, 0), key(number, Stream.AUDIT_REGULARIZER, 0))
        term = gradients(reverse, posterior, prior, draw, keys, 16)
        found = local_weight(term, reference_gradients(posterior, prior, keys[0]))
        weights.append(float(found.weight))
        residuals.append(float(found.residual))
        errors.append((float(found.weight_error), float(found.residual_error)))
    stated = np.mean(errors, axis=0)
    assert np.std(weights) == pytest.approx(stated[0], rel=0.4)  # of 40 repetitions, known to 11 %
    assert np.std(residuals) < 2.0 * stated[1]  # the pairs of draws are not independent of each other


@pytest.mark.thorough
def test_a_learned_prior_is_compared_with_independent_draws() -> None:
    """With one component, the mixture is a Gaussian, whose closed form the estimate does not use."""
    mu, log_var, posterior = posteriors()
    mixture = GaussianMixture(tf.zeros([1]), tf.constant([[0.5, -1.0, 0.0]]), tf.constant([[0.3, 0.0, -0.4]]))
    shift, width = np.array([0.5, -1.0, 0.0]), np.array([0.3, 0.0, -0.4])
    exact = 0.5 * (np.exp(log_var - width) - 1.0 - log_var + width + (mu - shift) ** 2 * np.exp(-width))
    reference = reference_gradients(posterior, mixture, key(0, Stream.AUDIT_REFERENCE, 0))
    assert reference.draws == 64
    assert abs(float(reference.value) - exact.sum(axis=1).mean()) < 4.0 * float(reference.error) < 0.3
    gradient = np.stack([(mu - shift) * np.exp(-width), 0.5 * (np.exp(log_var - width) - 1.0)]).ravel() / len(mu)
    assert float(reference.square) == pytest.approx(gradient @ gradient, rel=0.1)
    one = weight_of(MonteCarlo(), posterior, mixture)
    assert float(one.residual) > 0.3  # one draw is not compared with itself
    many = weight_of(MonteCarlo(), posterior, mixture, draws=64)
    assert float(many.weight) == pytest.approx(1.0, abs=0.1)
    assert float(many.residual) < 0.1
    halved = weight_of(lambda *arguments, key: 0.5 * MonteCarlo()(*arguments, key=key), posterior, mixture, draws=64)
    assert float(halved.weight) == pytest.approx(0.5, abs=0.05)


def test_no_gradient_has_no_weight_and_no_residual() -> None:
    zero = local_weight(
        Gradients(tf.zeros([1]), tf.zeros([1, 4])), Gradients(tf.ones([1]), tf.constant([[1.0, 0, 0, 0]]))
    )
    assert (float(zero.weight), float(zero.residual)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("analytic",), 1.0),
        (("backend",), 1.0),
        (("backend", "kl.support=histogram"), 0.994),
        (("keras_loss", "kl.calibrate=true"), 1.0),
        (("keras_loss",), 1 / 7),
        (("keras_loss", "kl.reduction=sum"), 3.0),
        (("keras_loss", "kl.reduction=none"), 1.0),
        (("monte_carlo",), 1.0),
        (("tc", "kl.correlation=1.0"), 1.0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_scale_of_a_multiple_of_the_kl(options: tuple[str, ...], expected: float) -> None:
    assert build(*options).scale(LATENT, 3).factor == pytest.approx(expected, rel=1e-3)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "options",
    [
        ("analytic", "kl.direction=reverse"),
        ("analytic", "kl.direction=symmetric"),
        ("backend", "kl.direction=reverse"),
        ("monte_carlo", "kl.direction=reverse"),
        ("keras_loss", "kl.direction=symmetric"),
        ("renyi",),
        ("jensen_shannon",),
        ("tc",),
        ("tc", "kl.correlation=1000.0"),
        ("mmd",),
        ("raw",),
        ("raw", "kl.form=softmax"),
        ("raw", "kl.form=log_var"),
    ],
    ids=" ".join,
)
def test_what_is_no_multiple_has_no_scale(options: tuple[str, ...]) -> None:
    assert build(*options).scale(LATENT, 32).factor is None


@pytest.mark.thorough
@pytest.mark.parametrize("latent", [CategoricalLatent(4, classes=3), BernoulliLatent(5)])
def test_the_scale_for_discrete_latent_variables(latent: Any) -> None:
    assert Analytic().scale(latent, 6).factor == pytest.approx(1.0, rel=1e-4)
    assert build("backend").scale(latent, 6).factor == pytest.approx(1.0, rel=1e-3)
    assert Analytic("reverse").scale(latent, 6).factor is None
    assert build("keras_loss").scale(latent, 6).factor == pytest.approx(1 / latent.size, rel=1e-3)


@pytest.mark.thorough
def test_the_scale_of_a_large_batch_of_many_latent_variables() -> None:
    """In float32, the products of four million terms were wrong by 0.1 %, and the closed form had no scale."""
    assert Analytic().scale(GaussianLatent(2000), 1000).factor == 1.0


@pytest.mark.parametrize("draws", [2, 4, 7])
def test_weight_and_residual_by_hand(draws: int) -> None:
    """In float64, with the errors: of a mean of draws, and of a mean of the products of pairs of them."""
    generator = np.random.default_rng(draws)
    rows, kl = generator.normal(1.0, 1.0, (draws, 6)), generator.normal(size=6)
    found = local_weight(*(Gradients(tf.zeros([len(each)]), tf.constant(each, tf.float32)) for each in (rows, [kl])))
    along = rows @ kl / (kl @ kl)
    rest = rows - along[:, np.newaxis] * kl
    products, of_rest = ([x @ y for x, y in itertools.combinations(each, 2)] for each in (rows, rest))
    assert float(found.weight) == pytest.approx(along.mean(), rel=1e-4)
    assert float(found.weight_error) == pytest.approx(along.std(ddof=1) / np.sqrt(draws), rel=1e-4)
    assert float(found.residual) == pytest.approx(np.clip(np.mean(of_rest) / np.mean(products), 0.0, 1.0), rel=1e-4)
    if draws > 2:
        error = np.std(of_rest, ddof=1) / np.sqrt(len(of_rest)) / abs(np.mean(products))
        assert float(found.residual_error) == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize(
    ("errors", "allowed"),
    [((0.0, 0.0), 0.1), ((0.03, 0.0), 0.22), ((0.0, 0.03), 0.22), ((0.03, 0.04), 0.3)],
)
def test_two_weights_agree_within_five_percent_and_four_standard_errors(
    errors: tuple[float, float], allowed: float
) -> None:
    """By hand: 5 % of 2, and four times the root of the sum of the squares of both errors."""
    own, other = errors
    for sign in (-1.0, 1.0):
        assert LocalWeight(2.0 + sign * (allowed - 1e-3), 0.0, own, 0.0).agrees(2.0, other)
        assert not LocalWeight(2.0 + sign * (allowed + 1e-3), 0.0, own, 0.0).agrees(2.0, other)
    assert LocalWeight(-2.0, 0.0, own, 0.0).agrees(-2.0, other)


@pytest.mark.parametrize(("error", "allowed"), [(0.0, 0.005), (0.01, 0.045)])
def test_a_multiple_leaves_half_a_percent_and_four_standard_errors(error: float, allowed: float) -> None:
    assert LocalWeight(2.0, allowed - 1e-4, 0.0, error).is_multiple()
    assert not LocalWeight(2.0, allowed + 1e-4, 0.0, error).is_multiple()


def test_the_scale_of_a_class_that_averages() -> None:
    """The scale is measured, so a regularizer cannot claim to be canonical."""

    class Averaged(DirectedKL):
        def divergence(self, first: Any, second: Any) -> tf.Tensor:
            return first.kl_divergence(second) / 10.0

    assert Averaged().scale(GaussianLatent(4), 2).factor == pytest.approx(0.1, rel=1e-5)
    assert "Averaged is not D[q||p], summed over the 4 latent" in Averaged().explain_scale(2, 4)


def test_why_a_term_has_no_scale() -> None:
    assert JensenShannon().explain_scale(2, 4).startswith("JensenShannon is another divergence on purpose")
    assert Analytic("reverse").explain_scale(2, 4).startswith("kl.direction=reverse is D[p||q]; the ELBO's KL is D[q||")
    assert Analytic("symmetric").explain_scale(2, 4).startswith("kl.direction=symmetric is the mean of D[q||p] and D[")
    assert KerasLoss("reverse").explain_scale(2, 4).startswith("kl.direction=reverse is D[p||q]")
    assert KerasLoss(reduction="none").explain_scale(2, 4).startswith("KerasLoss is not D[q||p], summed over")
    assert MaximumMeanDiscrepancy().explain_scale(2, 4).startswith("kl=mmd is not a KL: its weight is beta.value")
    assert TotalCorrelation().explain_scale(2, 4).startswith("kl=tc weights the parts of the KL separately")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("objective", "expected"),
    [(ELBO(), 1.0), (ELBO(capacity=5.0), None), (ELBO(capacity=0.0), 1.0), (ELBO(free_bits=0.1), None)],
)
def test_the_objective_counts(make_vae: Any, objective: ELBO, expected: float | None) -> None:
    """Below the capacity the KL's gradient is reversed, and below the free bits there is none."""
    assert make_vae(objective=objective).regularizer_scale(20).factor == expected


def test_total_correlation_of_a_single_weight_is_an_estimate_of_the_kl() -> None:
    assert TotalCorrelation(1.0, 1.0, 1.0).scale(LATENT, 20).is_estimate
    assert not Analytic().scale(LATENT, 20).is_estimate


@pytest.mark.parametrize(
    ("weight", "error", "shown"),
    [
        (-123.45678, 0.0, -123.457),
        (123.45, 1.2, 120.0),
        (123.45, 1.3, 100.0),
        (0.0051, 0.004, 0.005),
        (-0.5, 0.004, -0.5),
    ],
)
def test_a_weight_has_the_digits_that_its_error_leaves(weight: float, error: float, shown: float) -> None:
    """Two where a standard error is less than a hundredth of it, which is 1.23 for 123.45."""
    assert _rounded(weight, error) == shown
