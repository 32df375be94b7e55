"""Differences between configurations, paired by seed, and the conclusions from them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vae.compare.configurations import identifying_options, last_epochs, reasons_not_to_compare, shared_conditions
from vae.compare.sentences import Difference, sentence
from vae.compare.table import mean_and_interval, one_run_per_seed, summarize
from vae.runs.quantities import comparison_columns
from vae.runs.summary import Status

#: Options that change only the weight of the KL. If no other differs, the effective beta is the cause of a difference.
WEIGHT_OPTIONS = ("kl.", "beta.", "objective.")


class _Series(NamedTuple):
    """The values of a quantity in one run, by epoch."""

    is_finished: bool
    values: pd.Series


def differences(runs: pd.DataFrame, baseline: str | None = None, quantity: str = "elbo") -> pd.DataFrame:
    """Return the difference of each configuration from a baseline, paired by seed.

    Two finished runs are compared at their ends, and otherwise at the last epoch that both have. If a configuration
    has several runs of one seed, the one counts that has finished, or else has come furthest.

    Args:
        runs: the table of `load_runs`.
        baseline: the name of a configuration, as in `compare`; None for `default_baseline`.
        quantity: the column of `compare` to compare.

    Returns:
        A row for each other configuration that can be compared with the baseline (see `reasons_not_to_compare`):
        `configuration`; the mean `difference` over the seeds that both have; `interval`, half the width of its 95 %
        confidence interval (Student's t on the paired differences, for this comparison alone); `seeds`, the number of
        shared seeds; and `sentence`, the conclusion in words.

    Raises:
        KeyError: if there is no configuration of that name.
    """
    last = last_epochs(runs)
    table = summarize(last).set_index("configuration")
    baseline = baseline or _best(last, table.index)
    if baseline not in table.index:
        raise KeyError(baseline)
    series = _series_by_seed(runs, last, comparison_columns()[quantity])
    conditions = shared_conditions(last)
    first = last.drop_duplicates("configuration")
    options = pd.DataFrame(identifying_options(first), index=first["configuration"])
    rows = []
    for name in table.index.drop(baseline):
        if conditions[name] != conditions[baseline]:
            continue
        values = _paired_differences(series[name], series[baseline])
        mean, interval = mean_and_interval(values)
        differing = options.columns[(options.loc[name] != options.loc[baseline]).to_numpy()]
        only_weight_differs = all(option.startswith(WEIGHT_OPTIONS) for option in differing)
        difference = Difference(quantity, mean, interval, len(values), only_weight_differs)
        words = sentence(table.loc[name], table.loc[baseline], difference)
        rows.append((name, mean, interval, len(values), words))
    return pd.DataFrame(rows, columns=["configuration", "difference", "interval", "seeds", "sentence"])


def default_baseline(runs: pd.DataFrame, among: Collection[str] | None = None) -> str:
    """Return the configuration to compare others with: the best of those with `kl=analytic`, or else of all.

    Args:
        runs: the table of `load_runs`.
        among: the configurations to choose from; None for all.
    """
    last = last_epochs(runs)
    return _best(last, [name for name in summarize(last)["configuration"] if among is None or name in among])


def conclusions(runs: pd.DataFrame, baseline: str | None = None) -> list[str]:
    """Return the conclusions of a comparison in sentences: the differences, or the reasons that there are none.

    Args:
        runs: the table of `load_runs`.
        baseline: as for `differences`. Configurations that cannot be compared with it get a baseline of their own.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for name, conditions in shared_conditions(last_epochs(runs)).items():
        groups.setdefault(conditions, []).append(name)
    sentences = reasons_not_to_compare(runs)
    for names in groups.values():
        group_baseline = baseline if baseline in names else default_baseline(runs, names)
        found = differences(runs, group_baseline)
        if found.empty:
            sentences.append(f"{group_baseline}: no other configuration to compare with.")
        elif (found["seeds"] < 2).all():
            sentences.append(
                f"Not enough shared seeds to compare any configuration with {group_baseline} (at least 2 needed). "
                "Add seed=0,1,2."
            )
        else:
            sentences += found["sentence"].tolist()
    return sentences


def _best(last: pd.DataFrame, ranking: Sequence[str]) -> str:
    """Return the first configuration of a ranking with `kl=analytic`, or else the first."""
    exact = set(last["configuration"][last["kl"] == "analytic"]) if "kl" in last else set()
    return next((name for name in ranking if name in exact), ranking[0])


def _series_by_seed(runs: pd.DataFrame, last: pd.DataFrame, column: str) -> dict[str, dict[Any, _Series]]:
    """Return the series of a quantity for each configuration and seed."""
    values = runs.reindex(columns=["run", "epoch", column]).set_index("epoch").groupby("run")[column]
    series_of_run = dict(iter(values))
    series: dict[str, dict[Any, _Series]] = {name: {} for name in last["configuration"]}
    for _, run in one_run_per_seed(last).iterrows():
        is_finished = run["status"] == Status.FINISHED
        series[run["configuration"]][run["seed"]] = _Series(is_finished, series_of_run[run["run"]])
    return series


def _paired_differences(ours: Mapping[Any, _Series], baseline: Mapping[Any, _Series]) -> NDArray[np.float64]:
    """Return the difference for each shared seed, as far as it is finite."""
    found = []
    for seed in ours.keys() & baseline.keys():
        one, other = ours[seed], baseline[seed]
        if one.is_finished and other.is_finished:
            found.append(one.values.iloc[-1] - other.values.iloc[-1])
        elif len(common := (one.values - other.values).dropna()):
            found.append(common.iloc[-1])
    values = np.array(found, float)
    return values[np.isfinite(values)]
