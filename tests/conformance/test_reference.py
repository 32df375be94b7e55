"""The reference's quadrature against the closed forms in float64, which it does not use."""

import numpy as np
import pytest

from vae.conformance.reference import DIVERGENCES, Gaussians, canonical


def test_the_quadrature_equals_the_closed_form() -> None:
    case = Gaussians.drawn(6, 5)
    mu, variance = case.mu, np.exp(case.log_var)
    forward = 0.5 * (mu**2 + variance - 1 - case.log_var)
    reverse = 0.5 * ((1 + mu**2) / variance - 1 + case.log_var)
    assert DIVERGENCES["forward"](case) == pytest.approx(forward, rel=1e-12)
    assert DIVERGENCES["reverse"](case) == pytest.approx(reverse, rel=1e-12)
    assert DIVERGENCES["symmetric"](case) == pytest.approx((forward + reverse) / 2, rel=1e-12)


def test_the_canonical_reduction() -> None:
    assert canonical(np.array([[1.0, 2.0], [3.0, 4.0]])) == 5.0
