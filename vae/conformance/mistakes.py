"""What a KL of Gaussians is, by quadrature in float64, and what it would be by the usual mistakes: no TensorFlow here.

The closed form is not used for what is right, so that it cannot share a mistake with the one that is checked.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FITS = 0.02  # how far, relatively, a figure may be from a mistake's that explains it
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(8)


@dataclass(frozen=True)
class Gaussians:
    """Independent normal distributions: means and log-variances, `(batch, latents)` each."""

    mu: Array
    log_var: Array

    @classmethod
    def rounded(cls, mu: Array, log_var: Array) -> Self:
        """With parameters that float32 can hold, so that a regularizer is given the very same."""
        return cls(mu.astype(np.float32).astype(np.float64), log_var.astype(np.float32).astype(np.float64))

    @classmethod
    def drawn(cls, batch: int, latents: int) -> Self:
        """Of a plausible spread: means from N(0, 1), log-variances from -1.5 to 0.5."""
        generator = np.random.default_rng([batch, latents])
        shape = (batch, latents)
        return cls.rounded(generator.normal(size=shape), generator.uniform(-1.5, 0.5, size=shape))

    @property
    def prior(self) -> "Gaussians":
        """N(0, 1) in the same shape."""
        return Gaussians(np.zeros_like(self.mu), np.zeros_like(self.mu))

    def log_prob(self, z: Array) -> Array:
        """The log-density in nats at nodes `(batch, latents, nodes)`."""
        mu, log_var = self.mu[..., np.newaxis], self.log_var[..., np.newaxis]
        return np.asarray(-0.5 * (np.square(z - mu) * np.exp(-log_var) + log_var + math.log(2.0 * math.pi)))


def log_ratio(first: Gaussians, second: Gaussians, under: Gaussians) -> Array:
    """The expectation of log first(z) - log second(z) for z of the third distribution, in nats, `(batch, latents)`.

    By Gauss and Hermite's quadrature: the integrand is a polynomial of degree two, for which it is exact.
    """
    z = under.mu[..., np.newaxis] + np.exp(0.5 * under.log_var)[..., np.newaxis] * _NODES
    return np.asarray((first.log_prob(z) - second.log_prob(z)) @ _WEIGHTS / math.sqrt(2.0 * math.pi))


def forward(q: Gaussians) -> Array:
    """D[q || p] in nats for p = N(0, 1), `(batch, latents)`."""
    return log_ratio(q, q.prior, under=q)


def reverse(q: Gaussians) -> Array:
    """D[p || q] in nats for p = N(0, 1), `(batch, latents)`."""
    return log_ratio(q.prior, q, under=q.prior)


def symmetric(q: Gaussians) -> Array:
    """The mean of D[q || p] and D[p || q] in nats for p = N(0, 1), `(batch, latents)`."""
    return 0.5 * (forward(q) + reverse(q))


Divergence = Callable[[Gaussians], Array]
DIVERGENCES: dict[str, Divergence] = {"forward": forward, "reverse": reverse, "symmetric": symmetric}


def canonical(values: Array) -> float:
    """The sum over latent variables of values `(batch, latents)`, averaged over examples."""
    return float(values.sum(axis=1).mean())


@dataclass(frozen=True)
class Mistake:
    """One thing that people get wrong.

    Args:
        words: the sentence that names it; may speak of {batch} and {latents}.
        values: what stands in place of the divergence, `(batch, latents)`.
        factor: what it is multiplied by.
        reduce: what stands in place of the canonical reduction.
    """

    words: str
    values: Divergence | None = None
    factor: float = 1.0
    reduce: Callable[[Array], float] = canonical


def diagnose(direction: str, cases: Sequence[Gaussians], measured: Sequence[float], errors: Sequence[float]) -> str:
    """The mistake, or the two mistakes, that explain what was measured, in words.

    Args:
        direction: which divergence it should have been.
        cases: the posteriors.
        measured: what the regularizer said of each, in nats.
        errors: the standard error of each figure.
    """

    def misfit(mistakes: tuple[Mistake, ...]) -> float:
        expected = [_predicted(case, direction, mistakes) for case in cases]
        return max(
            abs(figure - wrong) / (FITS * abs(wrong) + 4.0 * error + 1e-3)
            for figure, wrong, error in zip(measured, expected, errors, strict=True)
        )

    if not np.isfinite(measured).all():
        return "it is no finite number on ordinary posteriors: does a log or a division meet 0?"
    batch, latents = cases[0].mu.shape
    for looseness, candidates in _hypotheses(direction):
        best = min(candidates, key=misfit)
        if misfit(best) < looseness:
            return "; moreover, ".join(mistake.words.format(batch=batch, latents=latents) for mistake in best)
    ratios = [figure / canonical(DIVERGENCES[direction](case)) for figure, case in zip(measured, cases, strict=True)]
    lowest, highest = min(ratios), max(ratios)
    if highest - lowest < FITS * abs(highest):
        return f"it is {highest:.3g} times the exact value: where does this factor come from?"
    if lowest > 0.0 and highest < 1.0:
        return (
            f"it is too small, from {lowest:.3g} to {highest:.3g} of the exact value: is something clipped, or "
            "integrated over too short a range?"
        )
    return (
        f"it is from {lowest:.3g} to {highest:.3g} times the exact value, and no mistake that is known here explains "
        "this: compare it with vae.kl.Analytic, term by term"
    )


def _predicted(q: Gaussians, direction: str, mistakes: tuple[Mistake, ...]) -> float:
    """What a regularizer that makes these mistakes says, in nats."""
    values = next((mistake.values for mistake in mistakes if mistake.values), DIVERGENCES[direction])(q)
    reduce = next((mistake.reduce for mistake in mistakes if mistake.reduce is not canonical), canonical)
    return math.prod(mistake.factor for mistake in mistakes) * reduce(values)


def _hypotheses(direction: str) -> list[tuple[float, list[tuple[Mistake, ...]]]]:
    """Each mistake alone; every two of different kinds; a wrong reduction of values that are themselves inaccurate.

    In front of each list stands how large its misfit may be.
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
    """The formula of D[q || p] with factors on log_var, in either of its places, and on its constant."""
    terms = np.square(q.mu) + np.exp(variance * q.log_var) - constant - logarithm * q.log_var
    return np.asarray(0.5 * terms)


_SIGMA = "is sigma taken for the variance{where}? The variance is exp(log_var), and sigma is exp(0.5 * log_var)"
_LOG_SIGMA = "is log_var taken for log sigma{where}? The variance is exp(log_var), not exp(2 * log_var)"
_ZERO = Mistake("it is 0 whatever the posterior", lambda q: np.zeros_like(q.mu))
_IN_PART = " in one term of the formula"
_ONE_DIRECTION = "it is {formula} alone, and symmetric is the mean of both directions"
_WRONG_VALUES = {
    "forward": [
        Mistake("it is D[p||q]: are the distributions the wrong way round? Forward is D[q||p]", reverse),
        Mistake("it is the mean of both directions, and forward is D[q||p] alone", symmetric),
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
        Mistake("it is D[q||p]: are the distributions the wrong way round? Reverse is D[p||q]", forward),
        Mistake("it is the mean of both directions, and reverse is D[p||q] alone", symmetric),
        Mistake(
            "it is the expectation of log p(z) - log q(z) under the posterior: are the samples drawn from the "
            "posterior? D[p||q] needs samples of the prior",
            lambda q: log_ratio(q.prior, q, under=q),
        ),
        _ZERO,
    ],
    "symmetric": [
        Mistake(_ONE_DIRECTION.format(formula="D[q||p]"), forward),
        Mistake(_ONE_DIRECTION.format(formula="D[p||q]"), reverse),
        Mistake(
            "it is identically zero: do the two halves cancel, because both are expectations under the same "
            "distribution? D[q||p] needs samples of the posterior, D[p||q] of the prior",
            lambda q: np.zeros_like(q.mu),
        ),
    ],
}
_WRONG_FACTORS = [
    Mistake("it is half the exact value: is there a factor 1/2 too many?", factor=0.5),
    Mistake("it is twice the exact value: is a factor 1/2 left out?", factor=2.0),
    Mistake(
        "it is 1/ln 2 times the exact value: is it in bits, by log base 2, instead of nats?", factor=1 / math.log(2)
    ),
    Mistake("it is minus the exact value: is the sign turned round?", factor=-1.0),
]
_WRONG_REDUCTIONS = [
    Mistake(
        "it is 1/{latents} of the exact value for {latents} latent variables: does it average over latent variables "
        "where it should sum?",
        reduce=lambda values: float(values.mean()),
    ),
    Mistake(
        "it is {batch} times the exact value for {batch} examples: does it sum over the batch where it should average?",
        reduce=lambda values: float(values.sum()),
    ),
    Mistake(
        "it is {batch}/{latents} of the exact value for {batch} examples of {latents} latent variables: does it sum "
        "over the batch and average over latent variables, where it should do the opposite?",
        reduce=lambda values: float(values.mean(axis=1).sum()),
    ),
]
