"""The reconstruction term of a loss: which likelihood it is a multiple of."""

import math

from vae.weigh.fitting import Differences, Fit
from vae.weigh.formulas import LIKELIHOODS, Likelihood
from vae.weigh.part import Part
from vae.weigh.point import NEAR_THE_PRIOR, Field, Point

DIRECTIONS, FEW = 8, 3  # along which all pixels are moved
SINGLE = 40  # how many pixels are moved alone, for the share that no likelihood explains
RECONSTRUCTION: tuple[Field] = ("reconstruction",)
_SMALLER, _LARGER = 0.25, 6.0  # errors relative to the first, which are at most 0.6


def reconstruction_part(loss: Differences, point: Point) -> Part:
    """Return what the reconstruction is a multiple of, at the point and at smaller and larger errors."""
    place = loss.at(point, RECONSTRUCTION, DIRECTIONS)
    fits = [(likelihood, place.fit(likelihood.values)) for likelihood in LIKELIHOODS]
    likelihood, best = min(fits, key=lambda each: each[1].misfit)
    if place.slopes.are_zero:
        return _part(likelihood, best, "none", "the loss does not depend on the reconstruction")
    if not best.is_exact:
        single = loss.number_by_number(point, RECONSTRUCTION, SINGLE)
        fits = [(likelihood, single.fit(likelihood.values)) for likelihood in LIKELIHOODS if not likelihood.mistake]
        likelihood, best = min(fits, key=lambda each: each[1].misfit)
        left = (
            f"the nearest, {likelihood.words}, leaves {100 * best.misfit**2:.2g} % of the squared gradient unexplained"
        )
        return _part(likelihood, best, "no likelihood that is known here", left)
    if likelihood.mistake:
        return _part(likelihood, best, likelihood.words, likelihood.mistake)
    smaller = loss.at(point.with_errors(_SMALLER), RECONSTRUCTION, FEW).fit(likelihood.values)
    if not smaller.has_weight_of(best):
        return _part(likelihood, best, "no likelihood of a fixed width", _changing_weight(best, smaller))
    near = loss.at(point.with_posterior(*NEAR_THE_PRIOR), RECONSTRUCTION, FEW).fit(likelihood.values)
    if not near.has_weight_of(best):
        changing = f"its weight depends on the posterior: {best.weight:.3g}, and {near.weight:.3g} near the prior"
        return _part(likelihood, best, f"{likelihood.words}, times a function of the posterior", changing)
    if likelihood.accepts == "means" and not _holds_for_large_errors(loss, point, likelihood, best):
        return _part(likelihood, best, f"{likelihood.words}; not so for errors above 1, as in a Huber loss")
    return _part(likelihood, best, likelihood.words)


def _part(likelihood: Likelihood, best: Fit, words: str, problem: str = "") -> Part:
    return Part("reconstruction", RECONSTRUCTION, words, likelihood.values, best, problem, likelihood)


def _holds_for_large_errors(loss: Differences, point: Point, likelihood: Likelihood, best: Fit) -> bool:
    try:
        larger = loss.at(point.with_errors(_LARGER), RECONSTRUCTION, FEW).fit(likelihood.values)
    except Exception:  # whatever a user's function raises for values outside [0, 1], where nothing is claimed then
        return True
    return larger.is_exact and larger.has_weight_of(best)


def _changing_weight(best: Fit, smaller: Fit) -> str:
    """Return in words how the weight changes with the size of the errors."""
    power = math.log(abs(best.weight / smaller.weight)) / math.log(1.0 / _SMALLER) if smaller.weight else 0.0
    if math.isclose(power, -1.0, rel_tol=0.02):
        return "its weight is proportional to 1/error: a root of the squared error (RMSE, norm) is no log-likelihood"
    if math.isclose(power, -2.0, rel_tol=0.02):
        return "its weight is proportional to 1/error^2: a log of the squared error is a Gaussian with a fitted sigma"
    return f"its weight changes with the error: {best.weight:.3g}, and {smaller.weight:.3g} at a quarter of the error"
