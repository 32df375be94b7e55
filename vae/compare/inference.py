"""Inference from few runs: intervals, tests, their correction, simultaneous bands and times that were not reached.

The functions take arrays and know nothing of runs. All assume that the differences over seeds are normally distributed.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
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
    return float(np.mean(values)), float(_critical_value(count) * np.std(values, ddof=1) / np.sqrt(count))


def half_width(deviation: Any, count: Any, comparisons: int = 1) -> Any:
    """Return half the width of a mean's 95 % confidence interval by Student's t.

    Args:
        deviation: the standard deviation of the values, with `count - 1` in its denominator.
        count: the number of values.
        comparisons: the number of intervals that shall all hold together with 95 %, by Bonferroni's inequality.
    """
    return stats.t.isf(SIGNIFICANCE / 2 / comparisons, count - 1) * deviation / np.sqrt(count)


@cache  # configurations have few different numbers of seeds
def _critical_value(count: int) -> float:
    """Return half the width of a mean's 95 % confidence interval, in standard errors."""
    return float(stats.t.isf(SIGNIFICANCE / 2, count - 1))


def difference_p_values(differences: ArrayLike) -> NDArray[np.float64]:
    """Return the p-value of the paired t-test, two-sided: that the mean difference is 0.

    Args:
        differences: `(seeds,)` or `(seeds, epochs)`; NaN where a seed has no value.

    Returns:
        A number, or `(epochs,)`; NaN for fewer than two values.
    """
    statistic, degrees = _t_statistic(differences, 0.0)
    return _differs(statistic, degrees)


def equivalence_p_value(differences: ArrayLike, margin: float) -> float:
    """Return the p-value of the two one-sided t-tests: that the mean difference is at least a margin away from 0.

    A small one says that the two are equivalent within the margin (Schuirmann 1987). NaN for fewer than two values.
    """
    above, degrees = _t_statistic(differences, -margin)
    below, _ = _t_statistic(differences, margin)
    return float(_not_equivalent(above, below, degrees))


def _differs(statistic: NDArray[np.float64], degrees: NDArray[np.int64]) -> NDArray[np.float64]:
    p_values: NDArray[np.float64] = 2 * stats.t.sf(abs(statistic), degrees)
    return p_values


def _not_equivalent(
    above: NDArray[np.float64], below: NDArray[np.float64], degrees: NDArray[np.int64]
) -> NDArray[np.float64]:
    p_values: NDArray[np.float64] = np.maximum(stats.t.sf(above, degrees), stats.t.cdf(below, degrees))
    return p_values


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values that are corrected for their number by Holm's method (1979). NaN is no test, and stays NaN."""
    # statsmodels has it, too, but collects garbage at each call, which takes up to half a second
    adjusted = np.array(p_values, float)
    order = np.argsort(adjusted)[: np.isfinite(adjusted).sum()]  # NaN comes last
    adjusted[order] = np.minimum(np.maximum.accumulate(adjusted[order] * np.arange(len(order), 0, -1)), 1.0)
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
    statistics = []
    for values, error in zip(differences, errors or [0.0] * len(differences), strict=True):
        mean = float(np.mean(values)) if len(values) else 0.0
        nearest = values - np.clip(mean, -error, error)  # to 0, of those that the error admits
        tested = ((nearest, 0.0), (values, error - margin), (values, margin - error))
        statistics.append([_t_statistic(sample, hypothesis) for sample, hypothesis in tested])
    found = np.array(statistics, float).reshape(-1, 3, 2)  # SciPy takes as long for one as for a thousand
    (zero, above, below), degrees = found[..., 0].T, found[:, 0, 1]
    p_values = np.column_stack([_differs(zero, degrees), _not_equivalent(above, below, degrees)])
    return holm(p_values.ravel()).reshape(-1, 2)


def more_seeds(differences: Sequence[NDArray[np.float64]], margins: Sequence[float], claims: int) -> list[int | None]:
    """Return how many further seeds would lead to a claim, a difference or an equivalence, with a power of 80 %.

    The mean and the standard deviation of the differences are taken as the true ones, so that the number from few seeds
    is rough.

    Args:
        differences: those of each comparison, at least two.
        margins: that of `equivalence_p_value` for each comparison; NaN if equivalence is no claim.
        claims: the number of claims that share the level of 5 %.

    Returns:
        The number for each comparison; None if it is more than `MOST_SEEDS`, or if all differences are equal.
    """
    count = np.array([len(values) for values in differences])
    size = np.array([abs(np.mean(values)) for values in differences])
    deviation = np.array([np.std(values, ddof=1) for values in differences])
    margin = np.array(margins)
    further = np.unique(np.geomspace(1, MOST_SEEDS, 300).astype(int))  # every number up to 43, then about one in 50

    def power(distance: NDArray[np.float64], seeds: NDArray[np.int64], alternative: str) -> NDArray[np.float64]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return TTestPower().power(distance / deviation, seeds, SIGNIFICANCE / claims, alternative=alternative)

    def is_enough(places: NDArray[np.int64]) -> NDArray[np.bool_]:
        seeds = count + further[places]
        larger = power(margin - size, seeds, "larger") + power(margin + size, seeds, "larger") - 1
        differs = ~(power(size, seeds, "two-sided") < POWER)  # NaN is far beyond it
        return differs | ((size < margin) & ~(larger < POWER))

    # The power grows with the seeds: halve the range in which it becomes enough, for all comparisons together
    first, last = np.zeros(len(count), int), np.full(len(count), len(further))
    while (first < last).any():
        middle = np.minimum((first + last) // 2, len(further) - 1)
        enough = is_enough(middle)
        first, last = np.where(enough | (first == last), first, middle + 1), np.where(enough, middle, last)
    is_known = (first < len(further)) & (deviation > 0.0)
    return [int(further[place]) if known else None for place, known in zip(first, is_known, strict=True)]


def judged(
    differences: Sequence[NDArray[np.float64]], margin: float, errors: Sequence[float] | None = None
) -> list[Judgement]:
    """Return the judgement of each comparison of a family, with the arguments of `corrected_p_values`."""
    corrected = corrected_p_values(differences, margin, errors)
    claims = int(np.isfinite(corrected).sum())
    verdicts = [verdict_of(*tests) for tests in corrected]
    is_open = [
        verdict is Verdict.OPEN and len(values) > 1 for verdict, values in zip(verdicts, differences, strict=True)
    ]
    margins = margin - np.array(errors or [0.0] * len(differences))
    further = iter(more_seeds([*compress(differences, is_open)], [*compress(margins, is_open)], claims))
    found = []
    for values, (p_value, equivalence), verdict, opened in zip(differences, corrected, verdicts, is_open, strict=True):
        mean, interval = mean_and_interval(values)
        more = next(further) if opened else None
        found.append(Judgement(mean, interval, len(values), p_value, equivalence, str(verdict), more))
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
