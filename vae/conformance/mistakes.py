"""The mistakes that people make in a KL, and the one that explains what was measured. No TensorFlow."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vae.conformance.reference import DIVERGENCES, Array, Divergence, Gaussians, canonical, log_ratio

FITS = 0.02  # the relative difference up to which a mistake explains a value


@dataclass(frozen=True)
class Mistake:
    """A mistake and its effect.

    Args:
        words: the sentence that names it. It may contain {batch} and {latents}.
        values: the values that replace the divergence, `(batch, latents)`; None for the divergence itself.
        factor: a factor of the result.
        reduce: the reduction that replaces the canonical one.
    """

    words: str
    values: Divergence | None = None
    factor: float = 1.0
    reduce: Callable[[Array], float] = canonical


def probable_mistake(
    direction: str, cases: Sequence[Gaussians], measured: Sequence[float], errors: Sequence[float]
) -> str:
    """Return in words the mistake, or the two mistakes, that explain the measured values.

    Args:
        direction: the direction of the right divergence.
        cases: the posteriors.
        measured: the regularizer's value for each case, in nats.
        errors: the standard error of each value.
    """

    def misfit(mistakes: tuple[Mistake, ...]) -> float:
        predictions = [_predicted(case, direction, mistakes) for case in cases]
        return max(
            abs(value - wrong) / (FITS * abs(wrong) + 4.0 * error + 1e-3)
            for value, wrong, error in zip(measured, predictions, errors, strict=True)
        )

    if not np.isfinite(measured).all():
        return "it is not finite on ordinary posteriors: does a log or a division meet 0?"
    batch, latents = cases[0].mu.shape
    for looseness, candidates in _hypotheses(direction):
        best = min(candidates, key=misfit)
        if misfit(best) < looseness:
            return "; moreover, ".join(mistake.words.format(batch=batch, latents=latents) for mistake in best)
    ratios = [value / canonical(DIVERGENCES[direction](case)) for value, case in zip(measured, cases, strict=True)]
    lowest, highest = min(ratios), max(ratios)
    if highest - lowest < FITS * abs(highest):
        return f"it is {highest:.3g} times the exact value: where does this factor come from?"
    if lowest > 0.0 and highest < 1.0:
        return (
            f"it is too small, {lowest:.3g} to {highest:.3g} times the exact value: is something clipped, or "
            "integrated over too short a range?"
        )
    return (
        f"it is {lowest:.3g} to {highest:.3g} times the exact value, which no known mistake explains: compare it with "
        "vae.kl.Analytic, term by term"
    )


def _predicted(q: Gaussians, direction: str, mistakes: tuple[Mistake, ...]) -> float:
    """Return the value of a regularizer with these mistakes, in nats."""
    values = next((mistake.values for mistake in mistakes if mistake.values), DIVERGENCES[direction])(q)
    reduce = next((mistake.reduce for mistake in mistakes if mistake.reduce is not canonical), canonical)
    return math.prod(mistake.factor for mistake in mistakes) * reduce(values)


def _hypotheses(direction: str) -> list[tuple[float, list[tuple[Mistake, ...]]]]:
    """Return lists of mistakes with the largest misfit that is accepted, the likeliest list first.

    Each mistake alone, then two mistakes of different kinds, then a wrong reduction of values that are inaccurate.
    """
    kinds = ([*_WRONG_VALUES[direction], *_wrong_parameters(DIVERGENCES[direction])], _WRONG_FACTORS, _WRONG_REDUCTIONS)
    alone: list[tuple[Mistake, ...]] = [(mistake,) for kind in kinds for mistake in kind]
    pairs: list[tuple[Mistake, ...]] = [
        pair for two in itertools.combinations(kinds, 2) for pair in itertools.product(*two)
    ]
    return [(1.0, alone), (1.0, pairs), (10.0, [(mistake,) for mistake in _WRONG_REDUCTIONS])]


def _wrong_parameters(divergence: Divergence) -> list[Mistake]:
    return [
        Mistake(_SIGMA.format(where=""), lambda q: divergence(Gaussians(q.mu, 0.5 * q.log_var))),
        Mistake(_LOG_SIGMA.format(where=""), lambda q: divergence(Gaussians(q.mu, 2.0 * q.log_var))),
        Mistake("are the means left out?", lambda q: divergence(Gaussians(np.zeros_like(q.mu), q.log_var))),
    ]


def _closed_form(q: Gaussians, variance: float = 1.0, logarithm: float = 1.0, constant: float = 1.0) -> Array:
    """Return the formula of D[q || p] with factors on log_var, in either of its places, and on its constant."""
    terms = np.square(q.mu) + np.exp(variance * q.log_var) - constant - logarithm * q.log_var
    return np.asarray(0.5 * terms)


_SIGMA = "is sigma taken for the variance{where}? The variance is exp(log_var), and sigma is exp(0.5 * log_var)"
_LOG_SIGMA = "is log_var taken for log sigma{where}? The variance is exp(log_var), not exp(2 * log_var)"
_ZERO = Mistake("it is 0 for every posterior", lambda q: np.zeros_like(q.mu))
_IN_PART = " in one term of the formula"
_ONE_DIRECTION = "it is {formula} alone, and symmetric is the mean of both directions"
_WRONG_VALUES = {
    "forward": [
        Mistake("it is D[p||q]: are the distributions the wrong way round? Forward is D[q||p]", DIVERGENCES["reverse"]),
        Mistake("it is the mean of both directions, and forward is D[q||p] alone", DIVERGENCES["symmetric"]),
        Mistake(
            "it is the expectation of log q(z) - log p(z) under the prior: are the samples drawn from the prior? "
            "D[q||p] needs samples of the posterior",
            lambda q: log_ratio(q, q.prior, under=q.prior),
        ),
        Mistake(_SIGMA.format(where=_IN_PART), lambda q: _closed_form(q, variance=0.5)),
        Mistake(_SIGMA.format(where=_IN_PART), lambda q: _closed_form(q, logarithm=0.5)),
        Mistake(_LOG_SIGMA.format(where=_IN_PART), lambda q: _closed_form(q, variance=2.0)),
        Mistake(_LOG_SIGMA.format(where=_IN_PART), lambda q: _closed_form(q, logarithm=2.0)),
        Mistake("is the -1 of mu^2 + exp(log_var) - 1 - log_var left out?", lambda q: _closed_form(q, constant=0.0)),
        _ZERO,
    ],
    "reverse": [
        Mistake("it is D[q||p]: are the distributions the wrong way round? Reverse is D[p||q]", DIVERGENCES["forward"]),
        Mistake("it is the mean of both directions, and reverse is D[p||q] alone", DIVERGENCES["symmetric"]),
        Mistake(
            "it is the expectation of log p(z) - log q(z) under the posterior: are the samples drawn from the "
            "posterior? D[p||q] needs samples of the prior",
            lambda q: log_ratio(q.prior, q, under=q),
        ),
        _ZERO,
    ],
    "symmetric": [
        Mistake(_ONE_DIRECTION.format(formula="D[q||p]"), DIVERGENCES["forward"]),
        Mistake(_ONE_DIRECTION.format(formula="D[p||q]"), DIVERGENCES["reverse"]),
        Mistake(
            "it is identically zero: do the two halves cancel, because both are expectations under the same "
            "distribution? D[q||p] needs samples of the posterior, D[p||q] of the prior",
            lambda q: np.zeros_like(q.mu),
        ),
    ],
}
_WRONG_FACTORS = [
    Mistake("it is half the exact value: is there one factor of 1/2 too many?", factor=0.5),
    Mistake("it is twice the exact value: is a factor of 1/2 left out?", factor=2.0),
    Mistake("it is 1/ln 2 times the exact value: is it in bits (log base 2) instead of nats?", factor=1 / math.log(2)),
    Mistake("it is minus the exact value: is the sign reversed?", factor=-1.0),
]
_WRONG_REDUCTIONS = [
    Mistake(
        "it is 1/{latents} of the exact value for {latents} latent variables: does it average over latent variables "
        "instead of summing?",
        reduce=lambda values: float(values.mean()),
    ),
    Mistake(
        "it is {batch} times the exact value for {batch} examples: does it sum over the batch instead of averaging?",
        reduce=lambda values: float(values.sum()),
    ),
    Mistake(
        "it is {batch}/{latents} of the exact value for {batch} examples of {latents} latent variables: does it sum "
        "over the batch and average over latent variables, instead of the opposite?",
        reduce=lambda values: float(values.mean(axis=1).sum()),
    ),
]
