"""Pairs of runs that share a seed: a configuration's and a baseline's, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vae.compare.comparison import Comparison, computed_once
from vae.compare.configurations import last_epochs, one_run_per_seed, shared_conditions
from vae.compare.frontier import points_of_frontiers
from vae.compare.inference import differs_from_index, mean_and_interval, simultaneous_band
from vae.compare.table import ranking
from vae.runs.quantities import SPLITS, comparison_columns
from vae.runs.summary import Status

At = Literal["last", "best"]  # the epoch of a run at which it is compared


class _Series(NamedTuple):
    """The values of a quantity in one run, by epoch and at its end, and the ELBO, which tells the best epoch."""

    is_finished: bool
    end: float
    values: pd.Series
    elbo: pd.Series

    def at(self, at: At, until: float = np.inf) -> float:
        """Return the value at the last epoch, or at that of the best ELBO, of those up to an epoch; NaN without one."""
        if at == "last":
            return self.end if until == np.inf else float(self.values.get(until, np.nan))
        elbo = self.elbo[np.isfinite(self.elbo) & (self.elbo.index <= until)]
        return float(self.values[elbo.idxmax()]) if len(elbo) else float("nan")


@dataclass(frozen=True)
class Pairs:
    """The differences of a configuration from a baseline, for each seed that both have.

    Args:
        ends: `(seeds,)`, the differences at the ends of the runs, or at their best epochs.
        curves: the differences at each epoch that some pair has: a row for each epoch, a column for each seed.
    """

    ends: NDArray[np.float64]
    curves: pd.DataFrame

    def area(self) -> tuple[float, float]:
        """Return the mean area between the two curves, in nats times epochs, and half the width of its 95 % interval.

        It is over the seeds that have at least two epochs.
        """
        curves = [self.curves[seed].dropna() for seed in self.curves]
        return mean_and_interval([np.trapezoid(curve, curve.index) for curve in curves if len(curve) > 1])

    def differs_from(self) -> int | None:
        """Return the epoch from which the curves differ up to the end (`differs_from_index`); None if they do not."""
        index = differs_from_index(self.curves.to_numpy().T)
        return None if index is None else int(self.curves.index[index])

    def band(self) -> pd.DataFrame:
        """Return, by epoch, the mean `difference`, the simultaneous 95 % band from `low` to `high`, and the `seeds`."""
        mean, half = self.curves.mean(axis=1), simultaneous_band(self.curves.to_numpy().T)
        seeds = self.curves.notna().sum(axis=1)
        return pd.DataFrame({"difference": mean, "low": mean - half, "high": mean + half, "seeds": seeds})


@computed_once
def paired(
    comparison: Comparison, baseline: str | None = None, quantity: str = "elbo", at: At = "last"
) -> tuple[str, dict[str, Pairs]]:
    """Return the baseline's name, and the pairs of every configuration that can be compared with it.

    The points of a frontier are passed over, if there are other terms: they are what those are measured by.

    Two finished runs are compared at their ends, and otherwise at the last epoch that both have. If a configuration
    has several runs of one seed, the one counts that has finished, or else has come furthest.

    Args:
        comparison: the runs, or the table of `load_runs`.
        baseline: the name of a configuration, as in `compare`; None for `default_baseline`.
        quantity: the column of `compare` to compare.
        at: "last", or "best": each run at its epoch with the highest validation ELBO.

    Raises:
        KeyError: if there is no configuration of that name.
    """
    last, names = last_epochs(comparison), ranking(comparison)
    baseline = baseline or best_exact(last, names)
    if baseline not in names:
        raise KeyError(baseline)
    passed_over = points_of_frontiers(comparison) | {baseline}
    series, conditions = _series_by_seed(comparison, comparison_columns()[quantity]), shared_conditions(last)
    others = [name for name in names if name not in passed_over and conditions[name] == conditions[baseline]]
    return baseline, {name: _pairs(series[name], series[baseline], at) for name in others}


@computed_once
def difference_curves(comparison: Comparison, baseline: str | None = None, quantity: str = "elbo") -> pd.DataFrame:
    """Return the difference of each configuration from a baseline at every epoch, paired by seed.

    Args:
        comparison: the runs, or the table of `load_runs`.
        baseline: the name of a configuration, as in `compare`; None for `default_baseline`.
        quantity: the column of `compare` to compare. One that is known at the end only has a single epoch.

    Returns:
        A row for each `configuration` and `epoch` that some pair of runs shares: the mean `difference`; the band from
        `low` to `high`, which holds the configuration's whole curve of mean differences with 95 % (see
        `simultaneous_band`; NaN for a single seed); and the number of `seeds`.

    Raises:
        KeyError: if there is no configuration of that name.
    """
    _, pairs = paired(comparison, baseline, quantity)
    bands = [pair.band().rename_axis("epoch").reset_index().assign(configuration=name) for name, pair in pairs.items()]
    columns = ["configuration", "epoch", "difference", "low", "high", "seeds"]
    return pd.concat(bands, ignore_index=True)[columns] if bands else pd.DataFrame(columns=columns)


def best_exact(last: pd.DataFrame, ranking: Sequence[str]) -> str:
    """Return the first configuration of a ranking with `kl=analytic`, or else the first.

    Args:
        last: the table of `last_epochs`.
        ranking: names of configurations, the best first.
    """
    exact = set(last["configuration"][last["kl"] == "analytic"]) if "kl" in last else set()
    return next((name for name in ranking if name in exact), ranking[0])


@computed_once
def _series_by_seed(comparison: Comparison, column: str) -> dict[str, dict[Any, _Series]]:
    """Return the series of a quantity for each configuration and seed."""
    elbo, last = comparison_columns()["elbo"], last_epochs(comparison)
    columns = [*dict.fromkeys(["run", "epoch", column, elbo])]
    history = comparison.runs.reindex(columns=columns).drop_duplicates(["run", "epoch"], keep="last")
    if column.partition("/")[0] not in SPLITS:
        history = history.groupby("run").tail(1)  # it is known at the end only
    of_run = dict(iter(history.set_index("epoch").groupby("run")))
    ends = last.reindex(columns=[column])[column]
    series: dict[str, dict[Any, _Series]] = {name: {} for name in last["configuration"]}
    counted = one_run_per_seed(last)
    for run, name, seed, status in zip(
        counted["run"], counted["configuration"], counted["seed"], counted["status"], strict=True
    ):
        own = of_run[run]
        series[name][seed] = _Series(status == Status.FINISHED, ends[run], own[column], own[elbo])
    return series


def _pairs(ours: Mapping[Any, _Series], baseline: Mapping[Any, _Series], at: At) -> Pairs:
    ends, curves = [], {}
    for seed, one in ours.items():
        if (other := baseline.get(seed)) is None:
            continue
        curve = one.values - other.values
        curves[seed] = curve = curve[np.isfinite(curve) & curve.index.notna()]
        if one.is_finished and other.is_finished:
            ends.append(one.at(at) - other.at(at))
        elif len(curve):
            ends.append(one.at(at, curve.index[-1]) - other.at(at, curve.index[-1]))
    values = np.array(ends, float)
    return Pairs(values[np.isfinite(values)], pd.DataFrame(curves).sort_index())
