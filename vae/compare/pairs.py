"""Pairs of runs that share a seed: a configuration's and a baseline's, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

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


@dataclass(frozen=True)
class _Series:
    """The values of a quantity in the run that counts for each configuration and seed.

    Args:
        epochs: `(epochs,)`, those of any run.
        values: `(runs, epochs)`; NaN where a run has no value.
        elbo: the same of the ELBO, which tells the best epoch.
        end: `(runs,)`, the value at the end of each run.
        is_finished: `(runs,)`.
        rows: for each configuration, the row of each seed.
    """

    epochs: NDArray[np.float64]
    values: NDArray[np.float64]
    elbo: NDArray[np.float64]
    end: NDArray[np.float64]
    is_finished: NDArray[np.bool_]
    rows: Mapping[str, Mapping[Any, int]]

    def best(self, run: int, until: int) -> float:
        """Return the value at the epoch of the best ELBO, of those before an index; NaN without one."""
        elbo = self.elbo[run, :until]
        known = np.flatnonzero(np.isfinite(elbo))
        return float(self.values[run, known[np.argmax(elbo[known])]]) if len(known) else float("nan")


@dataclass(frozen=True)
class Pairs:
    """The differences of a configuration from a baseline, for each seed that both have.

    Args:
        ends: `(seeds,)`, the differences at the ends of the runs, or at their best epochs.
        epochs: `(epochs,)`, those that some pair has.
        curves: `(seeds, epochs)`, the differences at each of them; NaN where a pair has none.
    """

    ends: NDArray[np.float64]
    epochs: NDArray[np.float64]
    curves: NDArray[np.float64]

    def area(self) -> tuple[float, float]:
        """Return the mean area between the two curves, in nats times epochs, and half the width of its 95 % interval.

        It is over the seeds that have at least two epochs.
        """
        known = np.isfinite(self.curves)
        pairs = [(curve[has], self.epochs[has]) for curve, has in zip(self.curves, known, strict=True)]
        return mean_and_interval([np.trapezoid(curve, epochs) for curve, epochs in pairs if len(curve) > 1])

    def differs_from(self) -> int | None:
        """Return the epoch from which the curves differ up to the end (`differs_from_index`); None if they do not."""
        index = differs_from_index(self.curves)
        return None if index is None else int(self.epochs[index])

    def band(self) -> dict[str, NDArray[Any]]:
        """Return for each `epoch` the mean `difference`, its simultaneous 95 % band, `low` to `high`, and `seeds`."""
        known = np.isfinite(self.curves)
        seeds = known.sum(axis=0)
        mean = np.where(known, self.curves, 0.0).sum(axis=0) / seeds
        half = simultaneous_band(self.curves)
        return {"epoch": self.epochs, "difference": mean, "low": mean - half, "high": mean + half, "seeds": seeds}


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
    series, conditions = _series(comparison, comparison_columns()[quantity]), shared_conditions(last)
    others = [name for name in names if name not in passed_over and conditions[name] == conditions[baseline]]
    return baseline, {name: _pairs(series, name, baseline, at) for name in others}


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
    columns = ["epoch", "difference", "low", "high", "seeds"]
    bands = [pair.band() for pair in pairs.values()]
    if not bands:
        return pd.DataFrame(columns=["configuration", *columns])
    names = np.repeat(np.array([*pairs], object), [len(band["epoch"]) for band in bands])
    return pd.DataFrame(
        {"configuration": names, **{column: np.concatenate([band[column] for band in bands]) for column in columns}}
    )


def best_exact(last: pd.DataFrame, ranking: Sequence[str]) -> str:
    """Return the first configuration of a ranking with `kl=analytic`, or else the first.

    Args:
        last: the table of `last_epochs`.
        ranking: names of configurations, the best first.
    """
    exact = set(last["configuration"][last["kl"] == "analytic"]) if "kl" in last else set()
    return next((name for name in ranking if name in exact), ranking[0])


@computed_once
def _series(comparison: Comparison, column: str) -> _Series:
    """Return the values of a quantity."""
    elbo, last = comparison_columns()["elbo"], last_epochs(comparison)
    counted = one_run_per_seed(last)
    places = {run: place for place, run in enumerate(counted["run"])}
    columns = [*dict.fromkeys(["run", "epoch", column, elbo])]
    history = comparison.runs.reindex(columns=columns)
    if column.partition("/")[0] not in SPLITS:
        history = history.groupby("run").tail(1)  # it is known at the end only
    history = history[history["epoch"].notna() & history["run"].isin(places)]
    epochs, column_of = np.unique(history["epoch"].to_numpy(float), return_inverse=True)
    row_of = history["run"].map(places).to_numpy(int)

    def filled(name: str) -> NDArray[np.float64]:
        values = np.full((len(counted), len(epochs)), np.nan)
        values[row_of, column_of] = history[name].to_numpy(float)  # the last of several rows of one epoch stays
        return values

    rows: dict[str, dict[Any, int]] = {name: {} for name in last["configuration"]}
    for place, (name, seed) in enumerate(zip(counted["configuration"], counted["seed"], strict=True)):
        rows[name][seed] = place
    return _Series(
        epochs,
        filled(column),
        filled(elbo),
        counted.reindex(columns=[column])[column].to_numpy(float),
        (counted["status"] == Status.FINISHED).to_numpy(),
        rows,
    )


def _pairs(series: _Series, name: str, baseline: str, at: At) -> Pairs:
    ours, theirs = series.rows[name], series.rows[baseline]
    shared = [seed for seed in ours if seed in theirs]
    one, other = np.array([ours[seed] for seed in shared], int), np.array([theirs[seed] for seed in shared], int)
    curves = series.values[one] - series.values[other]
    known = np.isfinite(curves)
    curves[~known] = np.nan
    ends = np.full(len(shared), np.nan)
    both_finished = series.is_finished[one] & series.is_finished[other]
    for place, (run, against) in enumerate(zip(one, other, strict=True)):
        until = len(series.epochs) if both_finished[place] else int(max(np.flatnonzero(known[place]), default=-1)) + 1
        if at == "best":
            ends[place] = series.best(run, until) - series.best(against, until)
        elif both_finished[place]:
            ends[place] = series.end[run] - series.end[against]
        elif until:
            ends[place] = curves[place, until - 1]
    has_pair = known.any(axis=0)
    return Pairs(ends[np.isfinite(ends)], series.epochs[has_pair], curves[:, has_pair])
