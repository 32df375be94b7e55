"""The exact gradients against the derivatives of the closed forms, and the names of wrong ones."""

import numpy as np
import pytest

from vae.conformance.reference import DIVERGENCES, Gaussians
from vae.conformance.slopes import probable_slope_mistake, slopes

CASE = Gaussians.drawn(6, 5)


def closed_form(direction: str) -> tuple[np.ndarray, np.ndarray]:
    """The derivatives, by hand, of the mean over examples of (mu^2 + var - 1 - log_var) / 2 and of its reverse."""
    variance = np.exp(CASE.log_var)
    forward = (CASE.mu, 0.5 * (variance - 1.0))
    reverse = (CASE.mu / variance, 0.5 * (1.0 - (1.0 + CASE.mu**2) / variance))
    of = {
        "forward": forward,
        "reverse": reverse,
        "symmetric": [np.mean(two, axis=0) for two in zip(forward, reverse, strict=True)],
    }
    mu, log_var = of[direction]
    return mu / len(mu), log_var / len(mu)


@pytest.mark.parametrize("direction", ["forward", "reverse", "symmetric"])
def test_the_differences_equal_the_derivatives(direction: str) -> None:
    mu, log_var = closed_form(direction)
    measured = slopes(DIVERGENCES[direction], CASE)
    assert measured.mu == pytest.approx(mu, rel=1e-6, abs=1e-9)  # a step of 1e-4: h^2 / 6 of the third derivative
    assert measured.log_var == pytest.approx(log_var, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ((-1.0, -1.0), "minus the exact gradient"),
        ((0.0, 1.0), "that of mu is 0 on average"),
        ((0.7, 1.3), "mu is about 0.7 times the exact one and that with respect to log_var 1.3 times"),
        ((np.nan, 1.0), "not finite"),
    ],
)
def test_a_wrong_gradient_has_a_name(factors: tuple[float, float], words: str) -> None:
    exact = np.array(closed_form("forward"))
    wrong = np.array(factors)[:, np.newaxis, np.newaxis] * exact
    assert words in probable_slope_mistake("forward", CASE, wrong, np.zeros_like(exact))


def test_a_term_without_a_gradient_has_a_name() -> None:
    """The cross-entropy's derivatives, by hand: E[-log p(z)] = (mu^2 + var + log 2 pi) / 2."""
    cross_entropy = np.array([CASE.mu, 0.5 * np.exp(CASE.log_var)]) / len(CASE.mu)
    entropy = np.array(closed_form("forward")) - cross_entropy
    for gradient, term in ((cross_entropy, "log q(z|x)"), (entropy, "log p(z)")):
        assert f"the term {term} has no gradient" in probable_slope_mistake("forward", CASE, gradient, 0.0 * entropy)
