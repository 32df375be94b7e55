"""The comparison table: one row for each configuration, over its seeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vae.compare.comparison import Comparison, computed_once
from vae.compare.configurations import last_epochs, one_run_per_seed
from vae.compare.convergence import best_and_rise, times_to_elbo
from vae.compare.frontier import frontier_gaps
from vae.compare.inference import half_width
from vae.runs.quantities import QUANTITIES, comparison_columns
from vae.runs.summary import Status

_OF_CONVERGENCE = ("best_elbo", "best_epoch", "rise", "late_rise")


@computed_once
def compare(comparison: Comparison, elbo: float | None = None) -> pd.DataFrame:
    """Return a row for each configuration, the best ELBO first.

    Args:
        comparison: the runs, or the table of `load_runs`.
        elbo: a validation ELBO in nats; also report how long it took to reach it.

    Returns:
        A table with the columns `configuration`; `runs` and `finished`, the numbers of runs and of finished runs; the
        mean of each quantity over the seeds that have it, from the last epoch of one run for each seed; the means of
        `best_elbo`, `best_epoch`, `rise` and `late_rise` (see `best_and_rise`); for the ELBO, the best one and the NLL,
        in `..._interval`, half the width of the 95 % confidence interval of the mean by Student's t (NaN for a single
        seed); `frontier_gap` with its interval, if there is a frontier (see `frontier_gaps`); and `status`, the runs
        that have not finished. If some runs of a configuration have finished, the means are over those alone. With
        `elbo`, also the columns of `times_to_elbo`, over all runs.
    """
    if elbo is not None:
        times = times_to_elbo(comparison.runs, one_run_per_seed(last_epochs(comparison)), elbo)
        return compare(comparison).join(times, on="configuration")
    table = summarize(last_epochs(comparison).join(best_and_rise(comparison)), _OF_CONVERGENCE)
    gaps = frontier_gaps(comparison).set_index("configuration")[["gap", "interval"]]
    if len(gaps):
        gaps.columns = ["frontier_gap", "frontier_gap_interval"]
        table = table.join(gaps, on="configuration")
    return table


@computed_once
def ranking(comparison: Comparison) -> list[str]:
    """Return the names of the configurations, the best ELBO first.

    Args:
        comparison: the runs, or the table of `load_runs`.
    """
    return summarize(last_epochs(comparison))["configuration"].tolist()


def summarize(last: pd.DataFrame, others: Sequence[str] = ()) -> pd.DataFrame:
    """Return the table of `compare`.

    Args:
        last: the table of `last_epochs`.
        others: columns of it to average in addition to the quantities.
    """
    columns = comparison_columns() | {name: name for name in others}
    is_finished = last["status"] == Status.FINISHED
    by_configuration = is_finished.groupby(last["configuration"], sort=False)
    counted = one_run_per_seed(last[is_finished | ~by_configuration.transform("any")])
    found = counted.reindex(columns=columns.values()).set_axis(columns, axis=1).apply(pd.to_numeric, errors="coerce")
    values = found.where(np.isfinite(found)).groupby(counted["configuration"], sort=False)
    means, intervals = values.mean(), half_width(values.std(), values.count())
    unfinished = last[~is_finished].groupby("configuration", sort=False)["status"]
    table = by_configuration.agg(runs="size", finished="sum")
    for quantity in columns:
        table[quantity] = means[quantity]
        if quantity == "best_elbo" or (quantity in QUANTITIES and QUANTITIES[quantity].is_criterion):
            table[f"{quantity}_interval"] = intervals[quantity]
    table["status"] = unfinished.agg(_counts).reindex(table.index, fill_value="")
    return table.reset_index().sort_values(
        "elbo", ascending=False, na_position="last", kind="stable", ignore_index=True
    )


def _counts(statuses: pd.Series) -> str:
    return ", ".join(f"{count} {status}" for status, count in statuses.value_counts().items())
