"""Inference from few runs: intervals, tests, their correction, simultaneous bands and times that were not reached.

The functions take arrays and know nothing of runs. All assume that the differences over seeds are normally distributed.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

CONFIDENCE = 0.95
SIGNIFICANCE = 1 - CONFIDENCE  # of all claims of a family together
POWER = 0.8  # with which the seeds that are recommended would lead to a claim
MOST_SEEDS = 1000  # that are recommended


class Verdict(StrEnum):
    """The conclusion about the difference between two configurations."""

    DIFFERS = "differs"
    EQUIVALENT = "equivalent"
    OPEN = "cannot tell yet"


class Judgement(NamedTuple):
    """A comparison of a family: its mean with the interval, the corrected p-values, and what follows from them."""

    mean: float
    interval: float
    seeds: int
    p_value: float
    equivalence_p_value: float
    verdict: str
    more_seeds: int | None


def verdict_of(p_value: float, equivalence_p_value: float) -> Verdict:
    """Return the verdict from the corrected p-values. A difference that is certainly within the margin is none."""
    if equivalence_p_value <= SIGNIFICANCE:
        return Verdict.EQUIVALENT
    return Verdict.DIFFERS if p_value <= SIGNIFICANCE else Verdict.OPEN


def mean_and_interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 % confidence interval by Student's t; NaN if there are too few."""
    count = len(values)
    if count == 0:
        return float("nan"), float("nan")
    if count == 1:
        return float(values[0]), float("nan")
    return float(np.mean(values)), float(half_width(np.std(values, ddof=1), count))


def half_width(deviation: Any, count: Any, comparisons: int = 1) -> Any:
    """Return half the width of a mean's 95 % confidence interval by Student's t.

    Args:
        deviation: the standard deviation of the values, with `count - 1` in its denominator.
        count: the number of values.
        comparisons: the number of intervals that shall all hold together with 95 %, by Bonferroni's inequality.
    """
    return stats.t.isf(SIGNIFICANCE / 2 / comparisons, count - 1) * deviation / np.sqrt(count)


def difference_p_values(differences: ArrayLike) -> NDArray[np.float64]:
    """Return the p-value of the paired t-test, two-sided: that the mean difference is 0.

    Args:
        differences: `(seeds,)` or `(seeds, epochs)`; NaN where a seed has no value.

    Returns:
        A number, or `(epochs,)`; NaN for fewer than two values.
    """
    statistic, degrees = _t_statistic(differences, 0.0)
    return 2 * stats.t.sf(abs(statistic), degrees)


def equivalence_p_value(differences: ArrayLike, margin: float) -> float:
    """Return the p-value of the two one-sided t-tests: that the mean difference is at least a margin away from 0.

    A small one says that the two are equivalent within the margin (Schuirmann 1987). NaN for fewer than two values.
    """
    above, degrees = _t_statistic(differences, -margin)
    below, _ = _t_statistic(differences, margin)
    return float(np.maximum(stats.t.sf(above, degrees), stats.t.cdf(below, degrees)))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values that are corrected for their number by Holm's method (1979). NaN is no test, and stays NaN."""
    adjusted = np.array(p_values, float)
    is_test = np.isfinite(adjusted)
    if is_test.any():
        adjusted[is_test] = multipletests(adjusted[is_test], method="holm")[1]
    return adjusted


def corrected_p_values(
    differences: Sequence[NDArray[np.float64]], margin: float, errors: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Return the p-values of all claims of a family of comparisons, corrected together by Holm's method.

    Args:
        differences: the paired differences of each comparison.
        margin: that of `equivalence_p_value`; NaN if equivalence is no claim.
        errors: how far all differences of a comparison may be off together, which its claims allow for; None for 0.

    Returns:
        `(comparisons, 2)`: of a difference, and of an equivalence. NaN where there is no test.
    """
    tests = []
    for values, error in zip(differences, errors or [0.0] * len(differences), strict=True):
        mean = float(np.mean(values)) if len(values) else 0.0
        nearest = values - np.clip(mean, -error, error)  # to 0, of those that the error admits
        tests.append([float(difference_p_values(nearest)), equivalence_p_value(values, margin - error)])
    return holm(np.array(tests).ravel()).reshape(-1, 2)


def more_seeds(differences: NDArray[np.float64], margin: float, claims: int) -> int | None:
    """Return how many further seeds would lead to a claim, a difference or an equivalence, with a power of 80 %.

    The mean and the standard deviation of the differences are taken as the true ones, so that the number from few seeds
    is rough.

    Args:
        differences: at least two.
        margin: that of `equivalence_p_value`; NaN if equivalence is no claim.
        claims: the number of claims that share the level of 5 %.

    Returns:
        The number; None if it is more than `MOST_SEEDS`, or if all differences are equal.
    """
    size, deviation = abs(float(np.mean(differences))), float(np.std(differences, ddof=1))
    if deviation == 0.0:
        return None
    further = np.unique(np.geomspace(1, MOST_SEEDS, 300).astype(int))  # every number up to 43, then about one in 50

    def power(distance: float, alternative: str) -> NDArray[np.float64]:
        level = SIGNIFICANCE / claims
        return TTestPower().power(distance / deviation, len(differences) + further, level, alternative=alternative)

    is_enough = power(size, "two-sided") >= POWER  # NaN for some numbers far beyond
    if size < margin:
        is_enough |= power(margin - size, "larger") + power(margin + size, "larger") - 1 >= POWER
    return int(further[np.argmax(is_enough)]) if is_enough.any() else None


def judged(
    differences: Sequence[NDArray[np.float64]], margin: float, errors: Sequence[float] | None = None
) -> list[Judgement]:
    """Return the judgement of each comparison of a family, with the arguments of `corrected_p_values`."""
    corrected = corrected_p_values(differences, margin, errors)
    claims = int(np.isfinite(corrected).sum())
    found = []
    for values, error, tests in zip(differences, errors or [0.0] * len(differences), corrected, strict=True):
        p_value, equivalence = tests
        verdict = verdict_of(p_value, equivalence)
        is_open = verdict is Verdict.OPEN and len(values) > 1
        further = more_seeds(values, margin - error, claims) if is_open else None
        mean, interval = mean_and_interval(values)
        found.append(Judgement(mean, interval, len(values), p_value, equivalence, str(verdict), further))
    return found


def simultaneous_band(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return half the width of a band that holds the whole curve of mean differences with 95 %.

    By Bonferroni's inequality, which holds whatever the correlation between epochs is. With few seeds no smaller band
    does: their estimate of that correlation has too few degrees of freedom.

    Args:
        differences: `(seeds, epochs)`; NaN where a seed has no value.

    Returns:
        `(epochs,)`; NaN where fewer than two seeds have a value.
    """
    count = np.isfinite(differences).sum(axis=0)
    band = np.full(len(count), np.nan)
    known = count > 1
    if known.any():
        deviation = np.nanstd(differences[:, known], axis=0, ddof=1)
        band[known] = half_width(deviation, count[known], comparisons=int(known.sum()))
    return band


def differs_from_index(differences: NDArray[np.float64]) -> int | None:
    """Return the index from which on a curve of mean differences is not 0: the earliest up to which all tests agree.

    The tests are the paired t-tests of each epoch at 5 %, from the last epoch backwards up to the first that is not
    significant. In this order, fixed beforehand, they need no correction: the first epoch without a difference stops
    them with 95 %.

    Args:
        differences: `(seeds, epochs)`; an epoch for which fewer than two seeds have a value is passed over.

    Returns:
        The index of the epoch; None if the curve does not differ at its end.
    """
    p_values = difference_p_values(differences)
    is_test = np.isfinite(p_values)
    is_stop = is_test & (p_values > SIGNIFICANCE)
    start = int(np.flatnonzero(is_stop)[-1]) + 1 if is_stop.any() else 0
    differing = np.flatnonzero(is_test[start:])
    return start + int(differing[0]) if len(differing) else None


def median_and_restricted_mean(
    times: NDArray[np.float64], is_reached: NDArray[np.bool_], horizon: float
) -> tuple[float, float]:
    """Return the median time to an event, and the mean of the time until the event or the horizon.

    Both are of the Kaplan-Meier estimate, to which the runs without the event count as long as they were seen.

    Args:
        times: the time of the event, or the last at which there was none.
        is_reached: whether the event came.
        horizon: where the mean ends.

    Returns:
        The median, the first time by which half have reached the event, NaN if fewer ever do; and the restricted mean.
    """
    survival = SurvfuncRight(times, is_reached.astype(int))
    steps = np.clip(np.concatenate([[0.0], survival.surv_times, [horizon]]), 0.0, horizon)
    mean = float(np.diff(steps) @ np.concatenate([[1.0], survival.surv_prob]))
    by_half = survival.surv_times[survival.surv_prob <= 0.5 + 1e-9]  # rounded products
    return float(by_half[0]) if len(by_half) else float("nan"), mean


def _t_statistic(values: ArrayLike, hypothesis: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the t statistic of the mean along the first axis, which may be infinite, and its degrees of freedom."""
    values = np.asarray(values, float)
    is_value = np.isfinite(values)
    count = is_value.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(is_value, values, 0.0).sum(axis=0) / count
        squares = np.where(is_value, values - mean, 0.0) ** 2
        error = np.sqrt(squares.sum(axis=0) / (count - 1) / count)
        distance = mean - hypothesis
        statistic = np.where((distance == 0.0) & (count > 1), 0.0, distance / error)
    return statistic, np.where(count > 1, count - 1, -1)  # for which SciPy's p-value is NaN
