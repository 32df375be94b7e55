"""Planted mistakes: what is found of each, and what is not claimed."""

import math
from typing import Any

import numpy as np
import pytest

from tests.weigh.losses import numpy_losses
from tests.weigh.weighing import weighed
from vae.errors import UserError
from vae.weigh import weigh
from vae.weigh.point import Point, single_directions


def numpy_loss(name: str, **options: Any) -> Any:
    return weighed(f"numpy_losses.py:{name}", **options)


@pytest.mark.parametrize(
    ("name", "beta", "words"),
    [
        ("canonical", 1.0, ""),
        ("elbo", 1.0, "it grows as the reconstruction improves"),
        ("mean_over_latents", 1 / 16, "the KL is averaged over 16 latent variables"),
        ("mean_over_pixels", 784, "the reconstruction is averaged over height, width, channels (784)"),
        ("sum_over_batch", 6, "the effective beta changes with the batch size"),
        ("divided_by_pixels", 1.0, "the reconstruction is averaged over height, width, channels (784)"),
        ("without_half", 2, "is the factor 1/2 left out?"),
        ("in_bits", 1 / math.log(2), "is it in bits instead of nats?"),
        ("without_one", 3.0, "the -1 of mu^2 + exp(log_var) - 1 - log_var is left out"),
        ("with_constant", 1.0, "a constant, 100, which changes the value and no gradient"),
        ("wrong_sign", -1.0, "the sign of the KL is reversed"),
        ("gaussian", 0.1**2, f"a constant, {784 * math.log(0.1 * math.sqrt(2 * math.pi)):.4g}, which"),
        ("laplace", 0.2, ""),
        ("logits", 1.0, ""),
        ("logits_as_probabilities", 1.0, "logits is taken for probabilities, not for logits"),
        ("flat", 1.0, "images are taken as flat"),
        ("per_example", 1.0, ""),
        ("several_named", 1.0, ""),
        ("weighted", 4.0, ""),
    ],
)
def test_a_multiple_of_the_kl_has_an_effective_beta(name: str, beta: float, words: str) -> None:
    report = numpy_loss(name)
    assert report.effective_beta == pytest.approx(beta, rel=1e-8)
    assert report.kl.fit.cosine == pytest.approx(math.copysign(1.0, beta), rel=1e-8)
    assert (words in " ".join(report.notes)) if words else report.notes == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("wrong_sign_of_the_mean", "-1 for mu^2, 1 for exp(log_var), 1 for -log_var"),
        ("without_means", "mu^2 is missing"),
        ("log_var_as_log_std", "the logarithm of the variance is taken for the logarithm of sigma"),
        ("log_std_as_log_var", "the logarithm of sigma is taken for the logarithm of the variance"),
        ("std_as_log_var", "sigma is taken for the logarithm of the variance"),
        ("std_as_variance_in_part", "exp(0.5 * log_var) is sigma"),
        ("variance_of_log_std_in_part", "exp(2 * log_var) is the variance if the parameter holds"),
        ("reverse", "the distributions are the wrong way round"),
        ("symmetric", "the ELBO's KL is D[q||p] alone"),
        ("free_bits_per_latent", "as under free bits or a clip"),
        ("free_bits_on_the_whole", "(1 at ordinary posteriors, 0 near the prior, 1 far from the prior)"),
        ("capacity", "(30 at ordinary posteriors, -30 near the prior, 30 far from the prior)"),
        ("unknown_term", "of its squared gradient is no multiple of the exact KL's"),
        ("product", "its weight depends on the error"),
        ("no_kl", "the loss does not depend on mu and the posterior's width"),
        ("several", "the loss does not depend on mu and the posterior's width"),
    ],
)
def test_a_term_that_is_no_multiple_of_the_kl_has_none(name: str, words: str) -> None:
    report = numpy_loss(name)
    assert report.effective_beta is None
    assert report.kl.reduction is None
    assert words in report.kl.problem


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("root_mean_square", "proportional to 1/error:"),
        ("fitted_sigma", "proportional to 1/error^2:"),
        ("norm_per_example", "the nearest, Gaussian, squared error, leaves"),
        ("cubic_error", "of the squared gradient unexplained"),
        ("swapped", "images and reconstruction the wrong way round"),
        ("no_reconstruction", "does not depend on the reconstruction"),
    ],
)
def test_a_term_that_is_no_likelihood_has_none(name: str, words: str) -> None:
    report = numpy_loss(name)
    assert report.effective_beta is None
    assert report.reconstruction.reduction is None
    assert words in report.reconstruction.problem
    assert report.kl.weight == pytest.approx(1.0, rel=1e-8)


@pytest.mark.parametrize("name", ["product", "fitted_sigma"])
def test_a_weight_that_changes_is_no_weight(name: str) -> None:
    report = numpy_loss(name)
    assert report.reconstruction.problem
    assert report.reconstruction.reduction is None


def test_minus_a_loss_has_the_same_report() -> None:
    """The sign of the KL is judged against the reconstruction's, also of one that is no likelihood."""
    for name in ("fitted_sigma", "wrong_sign", "canonical"):
        loss = getattr(numpy_losses, name)
        there, back = weigh(loss), weigh(lambda x, y, mu, log_var, loss=loss: -loss(x, y, mu, log_var))
        assert [part.weight for part in back.parts] == [part.weight for part in there.parts]
        assert back.notes[1:] == there.notes


def test_the_gaussian_of_beta_1_has_the_sigma_of_the_loss() -> None:
    assert numpy_loss("gaussian").scale_of_beta_1 == pytest.approx(0.1, rel=1e-8)
    assert numpy_loss("gaussian", constants={"sigma": 0.5}).scale_of_beta_1 == pytest.approx(0.5, rel=1e-8)
    assert numpy_loss("laplace").scale_of_beta_1 is None


def test_a_huber_loss_is_a_gaussian_for_small_errors_only() -> None:
    report = numpy_loss("huber")
    assert report.effective_beta == pytest.approx(1.0, rel=1e-8)
    assert "not so for errors above 1" in report.reconstruction.words


def test_the_cosine_is_that_of_the_analytic_gradients() -> None:
    """Compare with D[p||q]'s derivatives by mu and log_var, at the same 40 numbers of each."""
    report = numpy_loss("reverse")
    point = Point.drawn(6, (28, 28, 1), (16,))
    exact = {"mu": point.mu, "log_var": 0.5 * np.expm1(point.log_var)}
    wrong = {
        "mu": point.mu * np.exp(-point.log_var),
        "log_var": 0.5 * (1 - (1 + point.mu**2) * np.exp(-point.log_var)),
    }
    chosen = single_directions(point, ("mu", "log_var"), 40)
    first, second = (
        np.array([np.sum(along * gradient[name]) for direction in chosen for name, along in direction.items()])
        for gradient in (exact, wrong)
    )
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert 0.3 < cosine < 0.99
    assert report.kl.fit.cosine == pytest.approx(cosine, rel=1e-7)


def test_the_kl_alone_has_a_weight_and_no_beta() -> None:
    report = numpy_loss("kl_alone")
    assert report.reconstruction is None
    assert report.effective_beta is None
    assert report.kl.weight == pytest.approx(1 / 16, rel=1e-8)


def test_another_output_is_measured_when_named() -> None:
    assert numpy_loss("several", output="sum").effective_beta == pytest.approx(1.0, rel=1e-8)
    assert numpy_loss("several_named", output="kl").reconstruction.problem
    with pytest.raises(UserError, match="it returns kl, total; give one of them, or sum"):
        numpy_loss("several_named", output="elbo")
    with pytest.raises(UserError, match="it returns one value"):
        numpy_loss("canonical", output="loss")


def test_float32_inside_a_float64_loss_is_noticed() -> None:
    report = numpy_loss("single_inside")
    assert report.effective_beta == pytest.approx(1.0, rel=1e-3)
    assert report.notes == ("something in it computes in float32, so that only three digits are certain",)


def test_latents_may_have_several_axes() -> None:
    report = numpy_loss("spatial", latents=(4, 7, 7))
    assert report.effective_beta == pytest.approx(1e-6 * 784 / 2, rel=1e-6)
    assert report.scale_of_beta_1 == pytest.approx(math.sqrt(1e-6 * 784 / 2), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("random", "it draws random numbers"),
        ("slightly_random", "it draws random numbers"),
        (
            "unstable",
            "cannot be called: it returns nan for images and reconstructions in [0.2, 0.8] (tried NumPy float64",
        ),
        ("words", "TypeError: it returns str, not a number"),
        ("needs_more", "parameter temperature is not recognised"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(name: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        numpy_loss(name)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
