"""The statistics of a comparison, against SciPy, statsmodels, a published data set, and simulated differences."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from vae.compare.inference import (
    Verdict,
    corrected_p_values,
    difference_p_values,
    differs_from_index,
    equivalence_p_value,
    half_width,
    holm,
    median_and_restricted_mean,
    more_seeds,
    simultaneous_band,
    verdict_of,
)

MARGIN = 0.5


def test_the_tests_equal_those_of_scipy_and_statsmodels() -> None:
    random = np.random.default_rng(0)
    curves = random.normal(0.2, 1.0, (5, 7))
    curves[0, 2] = curves[1, 2] = np.nan
    expected = [stats.ttest_1samp(curve[np.isfinite(curve)], 0.0).pvalue for curve in curves.T]
    assert difference_p_values(curves) == pytest.approx(expected)
    for values in random.normal(0.3, 0.2, (20, 4)):
        expected = DescrStatsW(values).ttost_mean(-MARGIN, MARGIN)[0]
        assert equivalence_p_value(values, MARGIN) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, 1.0]])
def test_a_single_value_is_no_test(values: list[float]) -> None:
    assert np.isnan(difference_p_values(np.array(values)))
    assert np.isnan(equivalence_p_value(np.array(values), MARGIN))


def test_values_without_spread_are_certain() -> None:
    assert corrected_p_values([np.zeros(2), np.ones(2)], MARGIN).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert equivalence_p_value(np.full(2, MARGIN), MARGIN) == 0.5  # at the margin itself nothing is known
    assert more_seeds([np.zeros(2)], [np.nan], 2) == [None]


def test_claims_allow_for_an_error_that_all_values_share() -> None:
    """Values of 0.3 that may all be 0.3 too large are no difference, and 0.3 too small would be no equivalence."""
    values = 0.3 + 0.01 * np.array([-1.0, 0.0, 1.0])
    for sign in (1, -1):
        known, vague = (corrected_p_values([sign * values], MARGIN, [error])[0] for error in (0.1, 0.3))
        assert (known < 0.01).all()
        assert (vague > 0.9).all()
    nearest = stats.ttest_1samp(values, 0.1).pvalue, DescrStatsW(values).ttost_mean(-0.4, 0.4)[0]
    assert corrected_p_values([values], MARGIN, [0.1])[0] == pytest.approx(holm(nearest))


def test_holm_equals_that_of_statsmodels() -> None:
    p_values = np.random.default_rng(0).uniform(size=200) ** 4
    assert holm(p_values).tolist() == multipletests(p_values, method="holm")[1].tolist()


def test_holm_corrects_step_by_step() -> None:
    """Multiplied by 4, 3, 2 and 1 in order of size, and never smaller than the one before."""
    assert holm([0.01, 0.04, np.nan, 0.03, 0.005]) == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)
    assert holm([]).tolist() == []


@pytest.mark.parametrize(
    "seeds", [pytest.param(2, marks=pytest.mark.thorough), 3, pytest.param(5, marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize("effects", [(0.0,) * 5, (0.0, 0.0, MARGIN, -MARGIN, 5.0), (0.0, 0.1, 0.2, 1.0, 2.0)])
def test_false_claims_stay_under_five_percent_of_families(seeds: int, effects: tuple[float, ...]) -> None:
    """Simulated families of five comparisons with one baseline, whose noise all of them share."""
    families, random = 1500, np.random.default_rng([seeds, int(10 * sum(effects))])
    spreads, false = np.array([0.3, 0.1, 0.1, 0.3, 1.0]), 0
    for _ in range(families):
        noise = spreads[:, None] * random.normal(size=(5, seeds)) + 0.2 * random.normal(size=seeds)
        corrected = corrected_p_values([*(np.array(effects)[:, None] + noise)], MARGIN)
        verdicts = [verdict_of(*p_values) for p_values in corrected]
        false += any(
            verdict is (Verdict.DIFFERS if effect == 0.0 else Verdict.EQUIVALENT)
            and (effect == 0.0 or effect >= MARGIN)
            for verdict, effect in zip(verdicts, np.abs(effects), strict=True)
        )
    assert false / families < 0.05 + 3 * np.sqrt(0.05 * 0.95 / families)


def test_verdicts_are_reached_with_power() -> None:
    """The correction is no wall: with five seeds and effects of many standard errors, every family is judged right."""
    random = np.random.default_rng(3)
    for _ in range(100):
        samples = [effect + 0.02 * random.normal(size=5) for effect in (0.0, 3.0, 0.1)]
        found = [verdict_of(*p_values) for p_values in corrected_p_values(samples, MARGIN)]
        assert found == [Verdict.EQUIVALENT, Verdict.DIFFERS, Verdict.EQUIVALENT]


@pytest.mark.parametrize("count", [2, 3, 10])
def test_intervals_cover_the_truth_with_95_percent(count: int) -> None:
    repeats, random = 20_000, np.random.default_rng(count)
    values = random.normal(1.0, 2.0, (repeats, count))
    half = half_width(values.std(axis=1, ddof=1), count)
    covered = np.mean(np.abs(values.mean(axis=1) - 1.0) <= half)
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / repeats))


@pytest.mark.parametrize(("mean", "margin"), [(1.0, 0.5), (0.1, 0.5), (0.0, 0.5), (0.4, np.nan)])
def test_as_many_seeds_as_recommended_reach_a_verdict(mean: float, margin: float) -> None:
    """Four times of five, if the differences are as they were seen; and no fewer seeds do."""
    claims, repeats, random = 4, 20_000, np.random.default_rng(5)
    seen = mean + 0.7 * np.array([-1.0, 0.0, 1.0])  # of standard deviation 0.7
    (further,) = more_seeds([seen], [margin], claims)
    assert further is not None
    powers = []
    for count in (len(seen) + further - 1, len(seen) + further):
        values = random.normal(mean, 0.7, (count, repeats))
        error = values.std(axis=0, ddof=1) / np.sqrt(count)
        critical = stats.t.isf(0.05 / claims, count - 1)
        differs = difference_p_values(values) <= 0.05 / claims
        equals = np.abs(values.mean(axis=0)) + critical * error <= margin
        powers.append(max(differs.mean(), equals.mean()))
    tolerance = 4 * np.sqrt(0.8 * 0.2 / repeats)
    assert powers[0] < 0.8 + tolerance
    assert powers[1] > 0.8 - tolerance


def test_hopelessly_many_seeds_are_not_recommended() -> None:
    hopeless, clear = np.array([10.0, -10.5, 0.3]), np.array([1.0, 1.3, 0.9])
    assert more_seeds([hopeless], [MARGIN], 6) == [None]
    (further,) = more_seeds([clear], [MARGIN], 6)
    assert further is not None
    assert more_seeds([hopeless, clear, hopeless], [MARGIN] * 3, 6) == [None, further, None]


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.99])
def test_bands_hold_whole_curves_with_95_percent(seeds: int, correlation: float) -> None:
    epochs, repeats, random = 30, 2000, np.random.default_rng(seeds)
    curves = random.normal(size=(repeats, seeds, epochs))
    for epoch in range(1, epochs):
        curves[..., epoch] *= np.sqrt(1 - correlation**2)
        curves[..., epoch] += correlation * curves[..., epoch - 1]
    curves *= np.geomspace(10.0, 0.1, epochs)  # noise that becomes smaller
    held = np.mean([(np.abs(each.mean(axis=0)) <= simultaneous_band(each)).all() for each in curves])
    error = np.sqrt(0.95 * 0.05 / repeats)
    assert held > 0.95 - 3 * error
    if correlation == 0.0:  # then it is no wider than needed
        assert held < 0.952 + 3 * error


def test_a_band_passes_over_missing_seeds() -> None:
    curves = np.array([[1.0, np.nan, 2.0, 1.0], [2.0, 5.0, 4.0, 2.0], [np.nan, np.nan, 3.0, 3.0]])
    band = simultaneous_band(curves)
    assert np.isnan(band[1])
    assert band[2] == pytest.approx(stats.t.isf(0.025 / 3, 2) * 1.0 / np.sqrt(3))
    assert np.isnan(simultaneous_band(curves[:1])).all()


def test_the_epoch_from_which_a_difference_stays_is_seldom_too_early() -> None:
    """There is no difference up to epoch 10, and one of ten standard errors afterwards."""
    repeats, random = 3000, np.random.default_rng(1)
    found = []
    for _ in range(repeats):
        curves = random.normal(size=(5, 20))
        curves[:, 10:] += 10.0
        found.append(differs_from_index(curves))
    early = np.mean([index < 10 for index in found if index is not None])
    assert 0.03 < early < 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)
    assert np.mean([index in (9, 10) for index in found]) > 0.95
    assert differs_from_index(np.zeros((3, 4))) is None
    assert differs_from_index(np.array([[1.0, np.nan, 1.0], [1.1, 1.0, 1.1]])) == 0


def test_times_equal_the_textbook() -> None:
    """Remission of leukemia under 6-MP, in weeks (Freireich et al. 1963): the median is 23 in every textbook.

    The restricted mean is the area below the published survival probabilities.
    """
    ended = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    going_on = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    times = np.array(ended + going_on, float)
    median, mean = median_and_restricted_mean(times, np.arange(len(times)) < len(ended), horizon=30.0)
    assert median == 23.0
    survival = [(6, 1.0), (1, 0.857), (3, 0.807), (3, 0.753), (3, 0.690), (6, 0.627), (1, 0.538), (7, 0.448)]
    assert mean == pytest.approx(sum(weeks * share for weeks, share in survival), abs=0.01)


def test_the_median_is_the_first_time_by_which_half_are_there() -> None:
    """The product of ten survival probabilities is 0.5 after the fifth time, or rounded a little more."""
    times = np.arange(1.0, 11.0)
    assert median_and_restricted_mean(times, np.ones(10, bool), 10.0)[0] == 5.0
    assert median_and_restricted_mean(times[:9], np.ones(9, bool), 10.0)[0] == 5.0
    assert np.isnan(median_and_restricted_mean(times, times < 5.0, 10.0)[0])


def test_runs_that_never_reach_a_target_count() -> None:
    """Two of three runs fail: leaving them out, as a mean over the others does, would give 2."""
    median, mean = median_and_restricted_mean(np.array([2.0, 10.0, 10.0]), np.array([True, False, False]), 10.0)
    assert np.isnan(median)
    assert mean == pytest.approx((2 + 10 + 10) / 3)
