"""The KL term of a loss: whether it is a multiple of the exact KL, and the mistake that explains it if it is not."""

import numpy as np

from vae.weigh.fitting import Differences, Fit, Place
from vae.weigh.formulas import EXACT, REVERSE, SPREAD_WORDS, SYMMETRIC, misread, terms_of
from vae.weigh.parameters import SPREADS
from vae.weigh.part import Part
from vae.weigh.point import FAR_FROM_THE_PRIOR, NEAR_THE_PRIOR, Array, Field, Point

DIRECTIONS, FEW = 10, 4  # along which the posterior's parameters are moved together
SINGLE = 40  # how many of each are moved alone, for the cosine of a term that is no multiple of the KL
POSTERIOR: tuple[Field, Field] = ("mu", "log_var")
_ELSEWHERE = {"near the prior": NEAR_THE_PRIOR, "far from the prior": FAR_FROM_THE_PRIOR}


def kl_part(loss: Differences, point: Point, spread: str) -> Part:
    """Return what the KL term is a multiple of, at ordinary posteriors, near the prior and far from it.

    Args:
        loss: the loss.
        point: ordinary posteriors.
        spread: what the parameter for the posterior's width holds, one of `SPREADS`.
    """
    here = loss.at(point, POSTERIOR, DIRECTIONS)
    places = {"at ordinary posteriors": here}
    for words, moved in _ELSEWHERE.items():
        places[words] = loss.at(point.with_posterior(*moved), POSTERIOR, FEW)
    fits = {words: place.fit(EXACT.values) for words, place in places.items()}
    ordinary = fits["at ordinary posteriors"]

    def part(words: str, problem: str = "", fit: Fit = ordinary) -> Part:
        return Part("KL", POSTERIOR, words, EXACT.values, fit, problem)

    if all(place.slopes.are_zero for place in places.values()):
        return part("none", "the loss does not depend on mu and the posterior's width")
    if all(each.is_exact and each.has_weight_of(ordinary) for each in fits.values()):
        other = loss.at(point.with_errors(0.5), POSTERIOR, FEW).fit(EXACT.values)
        if other.has_weight_of(ordinary):
            return part(EXACT.words)
        weights = f"{ordinary.weight:.3g}, and {other.weight:.3g} at half the error"
        return part(
            "the exact KL times a function of the reconstruction", f"its weight depends on the error: {weights}"
        )
    if all(each.is_exact or places[words].slopes.are_zero for words, each in fits.items()):
        return part("a function of the exact KL", _changing_weight(fits))
    single = loss.number_by_number(point, POSTERIOR, SINGLE)
    return part(*_mistake(here, single, spread), single.fit(EXACT.values))


def _changing_weight(fits: dict[str, Fit]) -> str:
    weights = ", ".join(f"{each.weight:.3g} {place}" for place, each in fits.items())
    values = [each.weight for each in fits.values()]
    cause = ""
    if min(values) < 0.0 < max(values):
        cause = "; a KL below a target is pushed up, as by |KL - capacity|"
    elif min(map(abs, values)) == 0.0:
        cause = "; a KL below a threshold is free, as in free bits on the whole KL"
    return f"its weight depends on the posterior ({weights}){cause}"


def _mistake(place: Place, single: Place, spread: str) -> tuple[str, str]:
    """Return what a term is that is no multiple of the exact KL, and its probable mistake."""
    for other in (REVERSE, SYMMETRIC):
        if place.fit(other.values).is_exact:
            return other.words, other.mistake
    for reading in SPREADS:
        if reading != spread and place.fit(misread(spread, reading)).is_exact:
            return (
                f"the exact KL if the parameter held {SPREAD_WORDS[reading]}",
                f"{SPREAD_WORDS[spread]} is taken for {SPREAD_WORDS[reading]}; if the parameter does hold "
                f"{SPREAD_WORDS[reading]}, name it by --{reading.replace('_', '-')}",
            )
    for power in (1.0, 2.0, 0.5):
        terms = terms_of(power)
        found = place.fit(*terms.values())
        if found.is_exact:
            return _terms(dict(zip(terms, found.weights, strict=True)), power)
    ratios = _ratios(single)
    free = np.abs(ratios) < 1e-4 * np.abs(ratios).max()
    if free.any() and np.allclose(ratios[~free], np.median(ratios[~free]), rtol=1e-3):
        zeros = f"{free.sum()} of {free.size} derivatives are 0, as under free bits or a clip"
        return "the exact KL of some latent variables", f"{zeros}, and the others are those of the KL"
    left = 100 * single.fit(EXACT.values).misfit ** 2
    return "no KL that is known here", f"{left:.2g} % of its squared gradient is no multiple of the exact KL's"


def _ratios(place: Place) -> Array:
    """Return the derivatives by single numbers, divided by the exact KL's, where these are not small."""
    exact = place.slopes_of(EXACT.values)
    large = np.abs(exact) > 0.1 * np.abs(exact).max()
    return np.asarray(place.slopes.values[large] / exact[large])


def _terms(weights: dict[str, float], power: float) -> tuple[str, str]:
    """Return words for 0.5 * (a mu^2 + b exp(log_var) - c log_var), of which the KL has a = b = c."""
    largest = max(map(abs, weights.values()))
    shown = {name: 0.0 if abs(weight) < 1e-4 * largest else weight for name, weight in weights.items()}
    listed = ", ".join(f"{weight:.3g} for {name}" for name, weight in shown.items())
    problem = f"the terms of a KL have equal weights, and here they are {listed}"
    if power == 2.0:
        problem += "; exp(2 * log_var) is the variance if the parameter holds the logarithm of sigma"
    elif power == 0.5:
        problem += "; exp(0.5 * log_var) is sigma, and the variance is exp(log_var)"
    missing = [name for name, weight in shown.items() if weight == 0.0]
    if missing:
        problem += f"; {' and '.join(missing)} is missing"
    return "the terms of a KL with unequal weights", problem
