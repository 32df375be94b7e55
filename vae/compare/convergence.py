"""Convergence of a configuration: its best epoch, the rise of its ELBO at the end, and the time to reach a target."""

import numpy as np
import pandas as pd

from vae.compare.comparison import Comparison, computed_once
from vae.compare.inference import median_and_restricted_mean
from vae.runs.history import TIMES
from vae.runs.quantities import comparison_columns
from vae.runs.summary import Status

LATE_SHARE = 1 / 5  # of the epochs, over which the rise is measured
FEWEST_EPOCHS = 3  # that a rise is measured over
#: Ends after which a run would never have reached more than it did
_FINAL = (Status.DIVERGED, Status.FAILED)


@computed_once
def best_and_rise(comparison: Comparison) -> pd.DataFrame:
    """Return for each run its best validation ELBO, and how much the ELBO rises at the end.

    Args:
        comparison: the runs, or the table of `load_runs`.

    Returns:
        A table by `run` with `best_elbo` in nats and `best_epoch`; `rise`, the least-squares slope of the ELBO over the
        last fifth of the epochs, at least three of them, in nats an epoch; and `late_rise`, the slope times those
        epochs: what it rose by in all. NaN without enough values.
    """
    column = comparison_columns()["elbo"]
    history = comparison.runs.reindex(columns=["run", "epoch", column]).rename(columns={column: "elbo"})
    values = history[np.isfinite(history["elbo"])]
    best = values.loc[values.groupby("run", sort=False)["elbo"].idxmax()].set_index("run")
    found = best.rename(columns={"elbo": "best_elbo", "epoch": "best_epoch"})

    last = values.groupby("run", sort=False)["epoch"].transform("max")
    late = np.maximum(last * LATE_SHARE, FEWEST_EPOCHS)
    x = values["epoch"].where(values["epoch"] > last - late)
    by_run = values["run"]
    x = x - x.groupby(by_run).transform("mean")
    y = values["elbo"] - values["elbo"].where(x.notna()).groupby(by_run).transform("mean")
    sums = pd.DataFrame({"xy": x * y, "xx": x * x, "count": x.notna(), "late": late}).groupby(by_run)
    xx = sums["xx"].sum()
    found["rise"] = (sums["xy"].sum() / xx).where((sums["count"].sum() >= FEWEST_EPOCHS) & (xx > 0))
    found["late_rise"] = found["rise"] * sums["late"].first()
    return found


def times_to_elbo(runs: pd.DataFrame, last: pd.DataFrame, elbo: float) -> pd.DataFrame:
    """Return for each configuration how long it took to reach a validation ELBO, by the Kaplan-Meier estimate.

    A run that did not reach it counts with the time for which it went on; one that diverged or failed, as if it had
    gone on to the end of the longest.

    Args:
        runs: the table of `load_runs`.
        last: the runs to count, from the table of `last_epochs`.
        elbo: the ELBO in nats.

    Returns:
        A table by `configuration` with `reached`, the number of runs that did; for `epochs`, `steps` and `seconds`
        the median in `..._to_elbo`, NaN if fewer than half of the runs reached it; and in `..._to_elbo_mean` the mean
        until it was reached or the horizon came: the end of the configuration that was seen for the shortest time.
    """
    column = comparison_columns()["elbo"]
    history = runs.reindex(columns=["run", *TIMES, column])
    first = history[history[column] >= elbo].groupby("run").head(1).set_index("run")[[*TIMES]].reindex(last.index)
    is_reached = first["epoch"].notna()
    ends = last.reindex(columns=[*TIMES]).astype(float)
    is_final = last["status"].isin(_FINAL)
    ends.loc[is_final] = ends.max().to_numpy()
    seen = ends.groupby(last["configuration"], sort=False).max()
    horizon = seen[seen > 0].min()
    times = first.fillna(ends)
    rows = {}
    for name, group in last.groupby("configuration", sort=False):
        counted = group.index[times.loc[group.index, "epoch"] > 0]
        reached = is_reached[counted].to_numpy()
        row: dict[str, float] = {"reached": reached.sum()}
        for time, unit in zip(TIMES, ("epochs", "steps", "seconds"), strict=True):
            found = (float("nan"), float("nan"))
            if len(counted):
                found = median_and_restricted_mean(times.loc[counted, time].to_numpy(float), reached, horizon[time])
            row[f"{unit}_to_elbo"], row[f"{unit}_to_elbo_mean"] = found
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")
