"""The exact gradients of the KL in float64, and the mistake that explains a wrong one. No TensorFlow."""

from typing import NamedTuple

import numpy as np

from vae.conformance.reference import DIVERGENCES, Array, Divergence, Gaussians

_STEP = 1e-4
_FITS = 0.02  # up to which a mistake explains a gradient; relative to the largest of mu's or of log_var's


class Slopes(NamedTuple):
    """Gradients with respect to the parameters of posteriors, in nats per unit of each, `(batch, latents)`.

    Args:
        mu: with respect to the means.
        log_var: with respect to the logarithms of the variances.
    """

    mu: Array
    log_var: Array


def slopes(divergence: Divergence, q: Gaussians) -> Slopes:
    """Return the gradients of the canonical KL, by central differences of the quadrature."""

    def slope(mu: float, log_var: float) -> Array:
        ahead, behind = (divergence(Gaussians(q.mu + s * mu, q.log_var + s * log_var)) for s in (_STEP, -_STEP))
        return np.asarray((ahead - behind) / (2.0 * _STEP * len(q.mu)))

    return Slopes(slope(1.0, 0.0), slope(0.0, 1.0))


def probable_slope_mistake(direction: str, q: Gaussians, measured: Array, errors: Array) -> str:
    """Return in words the mistake that explains a gradient.

    Args:
        direction: the direction of the right divergence.
        q: the posteriors.
        measured: the gradients with respect to mu and log_var, `(2, batch, latents)`.
        errors: their standard errors, the same shape.
    """
    if not np.isfinite(measured).all():
        return "it is not finite on ordinary posteriors: does a log or a division meet 0?"
    for words, wrong in _hypotheses(direction, q):
        allowed = _FITS * np.abs(wrong).max(axis=(1, 2), keepdims=True) + 4.0 * errors + 1e-6
        if (np.abs(measured - wrong) < allowed).all():
            return words
    exact = np.array(slopes(DIVERGENCES[direction], q))
    of_mu, of_log_var = ((measured * exact).sum(axis=(1, 2)) / np.square(exact).sum(axis=(1, 2))).tolist()
    return (
        f"the value is right, but the gradient with respect to mu is about {of_mu:.2g} times the exact one and that "
        f"with respect to log_var {of_log_var:.2g} times: does every term of the value carry gradients?"
    )


def _hypotheses(direction: str, q: Gaussians) -> list[tuple[str, Array]]:
    """Return the gradients that mistakes lead to, `(2, batch, latents)`, each after the words that name its mistake."""
    exact = np.array(slopes(DIVERGENCES[direction], q))
    of_mu, of_log_var = exact * [[[1.0]], [[0.0]]], exact * [[[0.0]], [[1.0]]]
    found = [
        (_NONE, np.zeros_like(exact)),
        (_STOPPED.format(name="log_var"), of_mu),
        (_STOPPED.format(name="mu"), of_log_var),
        ("it is minus the exact gradient: is the sign reversed in a tf.custom_gradient?", -exact),
        ("those of mu and log_var are swapped: is their order wrong in a tf.custom_gradient?", exact[::-1]),
        ("that of log_var is twice the exact one: is it the one of log sigma?", of_mu + 2.0 * of_log_var),
    ]
    for other in [each for each in ("forward", "reverse") if each != direction]:
        slope = np.array(slopes(DIVERGENCES[other], q))
        found.append((f"it is the gradient of {_FORMULAS[other]}, and the value is {_FORMULAS[direction]}", slope))
        if direction == "symmetric":
            found.append((_HALF.format(formula=_FORMULAS[other]), 0.5 * slope))
    if direction == "forward":
        # The mean of log q(z|x) under q is -log(2 pi e sigma^2) / 2, with a gradient of (0, -1/2)
        entropy = np.zeros_like(exact)
        entropy[1] = -0.5 / len(q.mu)
        found += [(_TERM.format(term="log q(z|x)"), exact - entropy), (_TERM.format(term="log p(z)"), entropy)]
    return found


_FORMULAS = {"forward": "D[q||p]", "reverse": "D[p||q]", "symmetric": "their mean"}
_NONE = (
    "it is 0 on average: are the samples behind tf.stop_gradient? The expectation of the gradient of log q(z|x) is 0 "
    "unless it goes through z = mu + sigma * noise, too"
)
_STOPPED = "that of {name} is 0 on average: is {name} behind tf.stop_gradient, or left out of the samples?"
_HALF = "only the half {formula} has a gradient: is the other behind tf.stop_gradient, or are its samples?"
_TERM = "the term {term} has no gradient: is it behind tf.stop_gradient?"
