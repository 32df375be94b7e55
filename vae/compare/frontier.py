"""The rate-distortion frontier of the exact KL over beta, and how far off it other terms lie: the weight or the term?

A term that is a multiple of the KL trains a model that the exact KL would train, too, at another beta. It lies on the
frontier: at the same rate (canonical KL) it has the same distortion (reconstruction). A term that pulls in another
direction lies off it, by its frontier gap.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from vae.compare.comparison import Comparison, computed_once
from vae.compare.configurations import TERM_OPTIONS, identifying_options, last_epochs, one_run_per_seed
from vae.compare.inference import Verdict, judged
from vae.compare.margin import MARGIN
from vae.compare.sentences import plus_minus
from vae.runs.quantities import comparison_columns
from vae.runs.summary import Status

BETA = "beta.value"
FEWEST_BETAS = 3
LOWEST_RATE = 0.1  # nats; below, the posterior has collapsed, and the curve has no shape to interpolate

Curve = Callable[[float], float]  # distortion by rate; NaN beyond the ends


class Frontier(NamedTuple):
    """The frontier of the exact KL under the conditions that some configurations share.

    Attributes:
        points: a row for each run of the exact KL: `configuration`, `seed`, `beta`, `rate` and `distortion`, by rate.
        others: the same for each run of a term to compare with it.
        names: the configurations of the exact KL, also those whose posteriors collapsed, which are no points.
    """

    points: pd.DataFrame
    others: pd.DataFrame
    names: frozenset[str]


@computed_once
def frontiers(comparison: Comparison) -> list[Frontier]:
    """Return the frontiers that are among the runs: finished runs of the exact KL that differ in beta and seed alone.

    Args:
        comparison: the runs, or the table of `load_runs`.

    Returns:
        One for each set of conditions (data, model, optimizer, ...) under which there are runs of at least three betas.
    """
    last = last_epochs(comparison)
    last = one_run_per_seed(last[last["status"] == Status.FINISHED])
    columns = {"rate": comparison_columns()["kl"], "distortion": comparison_columns()["reconstruction"]}
    if f"option/{BETA}" not in last or not {*columns.values()} <= {*last}:
        return []
    found = last[["configuration", "seed"]].assign(
        beta=pd.to_numeric(last[f"option/{BETA}"], errors="coerce"),
        **{name: pd.to_numeric(last[column], errors="coerce") for name, column in columns.items()},
    )
    options = pd.DataFrame(identifying_options(last), index=last.index)
    is_term = [name.startswith(TERM_OPTIONS) for name in options]
    found["conditions"] = _joined(options.loc[:, [not of_term for of_term in is_term]])
    found["family"] = _joined(options.drop(columns=BETA, errors="ignore"))
    is_exact = (last["kl"] == "analytic") & last.get("effective_beta", pd.Series(np.nan, last.index)).notna()
    found = found[np.isfinite(found["rate"]) & np.isfinite(found["distortion"]) & (found["rate"] > 0)]
    return [*_frontiers(found, is_exact)]


def _frontiers(found: pd.DataFrame, is_exact: pd.Series) -> Iterator[Frontier]:
    for _, group in found.groupby("conditions", sort=False):
        exact = group[is_exact[group.index]]
        betas = exact[exact["rate"] > LOWEST_RATE].groupby("family", sort=False)["beta"].nunique()
        if betas.empty or betas.max() < FEWEST_BETAS:
            continue
        members = exact[exact["family"] == betas.idxmax()]
        others, names = group.drop(members.index), frozenset(members["configuration"])
        points = members[members["rate"] > LOWEST_RATE]
        yield Frontier(points.sort_values("rate"), others.sort_values("rate"), names)


def points_of_frontiers(comparison: Comparison) -> set[str]:
    """Return the configurations that are the points of a frontier to which other terms are compared.

    Args:
        comparison: the runs, or the table of `load_runs`.
    """
    return {name for one in frontiers(comparison) if len(one.others) for name in one.names}


def frontier_curve(points: pd.DataFrame) -> Curve:
    """Return the frontier of one seed: the distortion as a cubic spline of the logarithm of the rate.

    Args:
        points: its `points`, by rate.
    """
    points = points.drop_duplicates("rate")
    if len(points) < 2:
        return lambda _: float("nan")
    curve = CubicSpline(np.log(points["rate"].to_numpy()), points["distortion"].to_numpy(), extrapolate=False)
    return lambda rate: float(curve(np.log(rate)))


@computed_once
def frontier_gaps(comparison: Comparison, margin: float = MARGIN) -> pd.DataFrame:
    """Return how many nats each term is worse than the exact KL at the same rate.

    For each seed, the gap is the distortion of the term's run minus that of the seed's frontier at the run's rate. The
    verdict is that of `differences`, with the claims of one frontier corrected together. It allows for the error of
    the interpolation between betas, which is estimated by leaving out each beta in turn.

    Args:
        comparison: the runs, or the table of `load_runs`.
        margin: nats within which a term lies on the frontier.

    Returns:
        A row for each configuration that a frontier is known for, the smallest gap first: `configuration`; the mean
        `rate` in nats; `gap`, in nats per image, positive if it is worse than the exact KL; `interval`, half the width
        of its 95 % confidence interval over seeds; `interpolation`, the error of the frontier at this rate; `seeds`,
        those with a run within the rates of their frontier; `p_value`, `equivalence_p_value`, `verdict` and
        `more_seeds` as in `differences`; and `sentence`.
    """
    rows = [row for frontier in frontiers(comparison) for row in _gaps_of(frontier, margin)]
    columns = ["configuration", "rate", "gap", "interval", "interpolation", "seeds", "p_value", "equivalence_p_value"]
    table = pd.DataFrame(rows, columns=[*columns, "verdict", "more_seeds", "sentence"])
    return table.astype({"more_seeds": "Int64"}).sort_values("gap", kind="stable", ignore_index=True)


def _gaps_of(frontier: Frontier, margin: float) -> Iterator[tuple[object, ...]]:
    curves = {seed: frontier_curve(points) for seed, points in frontier.points.groupby("seed")}
    groups = [group for _, group in frontier.others.groupby("configuration", sort=False)]
    gaps = [_gaps(group, curves) for group in groups]
    rates = [float(group["rate"].mean()) for group in groups]
    errors = [interpolation_error(frontier.points, rate) for rate in rates]
    judgements = judged(gaps, margin, errors)
    low, high = frontier.points["rate"].min(), frontier.points["rate"].max()
    for group, rate, error, judgement in zip(groups, rates, errors, judgements, strict=True):
        name = str(group["configuration"].iloc[0])
        mean, interval, seeds, *tests = judgement
        amount = plus_minus(mean, interval)
        at = f"at the same rate ({rate:.4g} nats, {seeds} seeds)"
        if not curves.keys() & {*group["seed"]}:
            words = "no seed in common with the frontier of the exact KL"
        elif seeds == 0:
            words = f"rate {rate:.4g} nats, beyond the frontier ({low:.4g} to {high:.4g}); train other values of beta"
        elif seeds == 1:
            words = f"frontier gap {mean:+.3g} nats at one seed; at least 2 needed"
        elif judgement.verdict == Verdict.EQUIVALENT:
            words = f"on the frontier of the exact KL within {margin:g} nats ({amount}) {at}"
        elif judgement.verdict == Verdict.DIFFERS:
            absolute = plus_minus(abs(mean), interval, signed=False)
            words = f"{absolute} nats {'worse' if mean > 0 else 'better'} than the exact KL {at}"
        else:
            words = f"cannot tell yet whether it is on the frontier ({amount}) {at}"
        yield (name, rate, mean, interval, error, seeds, *tests, f"{name}: {words}.")


def _gaps(group: pd.DataFrame, curves: dict[object, Curve]) -> NDArray[np.float64]:
    """Return the gaps of a configuration for the seeds whose frontier reaches its rate."""
    runs = zip(group["seed"], group["rate"], group["distortion"], strict=True)
    gaps = np.array([distortion - curves[seed](rate) for seed, rate, distortion in runs if seed in curves], float)
    return gaps[np.isfinite(gaps)]


def interpolation_error(points: pd.DataFrame, rate: float) -> float:
    """Return how far the interpolated frontier may be off at a rate, in nats; NaN beyond its ends.

    Each beta but the outermost is predicted from the others, for every seed. Its mean error is that of intervals twice
    as wide, and is taken for the error in the middle between two betas: the larger of the two. Towards each of them it
    falls to nothing as 4 t (1 - t).

    Args:
        points: the `points` of a frontier.
        rate: in nats.
    """
    means = points.groupby("beta")["rate"].mean().sort_values()
    errors = {}
    for beta in means.index[1:-1]:
        left_out = points["beta"] == beta
        curves = {seed: frontier_curve(others) for seed, others in points[~left_out].groupby("seed")}
        errors[beta] = abs(float(np.nanmean([*_gaps(points[left_out], curves), np.nan])))
    place = int(np.searchsorted(means, rate))
    if not 0 < place < len(means):
        return float("nan")
    neighbours = [errors[beta] for beta in means.index[place - 1 : place + 1] if np.isfinite(errors.get(beta, np.nan))]
    low, high = np.log(means.iloc[place - 1]), np.log(means.iloc[place])
    t = (np.log(rate) - low) / (high - low)
    return max(neighbours, default=float("nan")) * 4 * t * (1 - t)


def _joined(options: pd.DataFrame) -> list[str]:
    return ["\n".join(values) for values in options.to_numpy()]
