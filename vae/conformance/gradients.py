"""Checks of the gradients: exact in every direction, none that is 0 by clipping, and all finite."""

from collections.abc import Callable

import numpy as np

from vae.conformance.reference import DIVERGENCES, Gaussians
from vae.conformance.slopes import probable_slope_mistake, slopes
from vae.conformance.subject import CASES, ERRORS, SkippedError, Subject
from vae.conformance.verdict import Verdict

#: Every entry has an exact gradient in every direction: no mu is 0, no log_var is 0, log(1 + mu^2) or half of that
_FAR_AND_NEAR = Gaussians.rounded(
    *np.meshgrid([-20.0, -8.0, -2.0, 0.5, 1.0, 3.0, 8.0, 20.0], [-20.0, -12.0, -6.0, -2.0, -0.5, 0.6, 2.0, 5.0, 10.0])
)


# Relative to the largest of mu's or of log_var's. Keras's clipping costs 3.4 % on these cases, a mistake 50 % and more
_SLOPES_AGREE = 0.05


def are_exact(direction: str) -> Callable[[Subject], Verdict]:
    """Return the check that the gradient in a direction is the exact one, on average over draws."""

    def check(subject: Subject) -> Verdict:
        directed = subject.in_direction(direction)
        if not directed.agrees:
            raise SkippedError("the value is not the exact one, so that the gradient cannot be")
        exact = np.array(slopes(DIVERGENCES[direction], CASES[0]))
        measured, errors = directed.mean_gradients(CASES[0])
        allowed = _SLOPES_AGREE * np.abs(exact).max(axis=(1, 2), keepdims=True) + ERRORS * errors
        misfit = np.abs(measured - exact) / allowed
        passed = bool((misfit <= 1.0).all())  # False for NaN
        worst = np.unravel_index(np.argmax(misfit), misfit.shape)
        advice = "" if passed else probable_slope_mistake(direction, CASES[0], measured, errors)
        name = ("mu", "log_var")[worst[0]]
        error = f" (error {errors[worst]:.1g})" if errors.any() else ""
        return Verdict(passed, f"{name}: {measured[worst]:.3g}{error}", f"{name}: {exact[worst]:.3g}", advice)

    return check


def has_no_dead_gradients(subject: Subject) -> Verdict:
    """Check that no gradient of mu or log_var is exactly 0 if the exact divergence has another."""
    dead = subject.gradients(_FAR_AND_NEAR)[1] == 0.0
    of_mu, of_log_var = dead.mean(axis=(1, 2))
    advice = (
        f"{of_mu:.0%} of the gradients with respect to mu and {of_log_var:.0%} of those with respect to log_var are "
        "exactly 0, so that training cannot move these posteriors: is something clipped?"
    )
    if dead.all():
        advice = "there is no gradient at all: is it computed outside TensorFlow, or behind tf.stop_gradient?"
    return Verdict(not dead.any(), f"{dead.mean():.1%} dead", "0% dead", advice)


def is_finite_at_extremes(subject: Subject) -> Verdict:
    """Check value and gradients for |mu| up to 20 and log_var from -20 to 10, the bounds of `vae.latents`."""
    broken = []
    for mu in (-20.0, 0.0, 20.0):
        for log_var in (-20.0, 0.0, 10.0):
            value, gradients = subject.gradients(Gaussians.equal(mu, log_var))
            if not np.isfinite([value, *gradients.flat]).all():
                broken.append(f"mu={mu:g} log_var={log_var:g}")
    advice = (
        f"the value or a gradient is not finite at {', '.join(broken)}: does an exp overflow, or a log or a division "
        "meet 0? Keep densities as logarithms"
    )
    return Verdict(not broken, f"{9 - len(broken)} of 9", "9 of 9", advice)
