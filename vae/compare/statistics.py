"""One row for each configuration, over its seeds."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from vae.runs.loading import NOT_COMPARED

CONFIDENCE = 0.95
#: Columns of the table, and where each comes from in `load_runs`'s table
QUANTITIES = {
    "elbo": "validation/elbo",
    "reconstruction": "validation/reconstruction",
    "kl": "validation/kl",
    "active_units": "audit/active_units",
    "effective_beta": "effective_beta",
    "gradient_cosine": "audit/gradient_cosine/trained",
    "nll": "evaluation/nll",
    "steps_per_second": "steps_per_second",
}
NEITHER_IS_BETTER = {"reconstruction", "kl", "active_units", "effective_beta", "gradient_cosine"}
#: What two runs have to share for a difference of their ELBOs to mean something, and what several of it are called
COMPARED_WITHIN = {
    "option/data.name": "data sets",
    "option/data.binarization": "binarizations",
    "option/likelihood._target_": "likelihoods",
    "option/data.shape": "image sizes",
    "option/data.invert": "inversions",
    "option/data.take": "numbers of images",
    "option/data.validation_size": "validation splits",
}
#: The options that weigh the KL: where nothing else differs, the effective beta is the cause of a difference
WEIGHING = ("option/kl.", "option/beta.", "option/objective.")
IN_NATS = {"elbo", "nll", "reconstruction", "kl"}
SAME_DIRECTION = 0.95  # of a gradient's cosine with the exact one's: what weighs the KL otherwise, and is still it


def last_epochs(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each run: its last epoch, and `configuration`, the words that tell it from the others.

    Args:
        runs: what `load_runs` returned.
    """
    last = runs.groupby("run", sort=False).tail(1).set_index("run", drop=False)
    return last.assign(configuration=_configurations(last))


def compare(runs: pd.DataFrame, elbo: float | None = None) -> pd.DataFrame:
    """A row for each configuration, the best ELBO first.

    Args:
        runs: what `load_runs` returned.
        elbo: also say how long it took to reach this validation ELBO, in nats.

    Returns:
        `configuration`; `runs` and `finished`, how many; then the mean of each quantity over the seeds that have it,
        from the last epoch of one run each, and for the ELBO and the NLL in `..._interval` half the 95 % confidence
        interval of the mean by Student's t (not a number for a single seed); `status`, where some did not finish.
        Where some runs of a configuration have finished, the means are over those alone. With `elbo`, `steps_to_elbo`
        and `seconds_to_elbo`, the mean over the runs that reached it.
    """
    last = last_epochs(runs)
    if elbo is not None:
        last = last.join(_reached(runs, elbo))
    rows = [_row(str(name), group) for name, group in last.groupby("configuration", sort=False)]
    return pd.DataFrame(rows).sort_values("elbo", ascending=False, na_position="last", ignore_index=True)


def differences(runs: pd.DataFrame, baseline: str | None = None, quantity: str = "elbo") -> pd.DataFrame:
    """How each configuration differs from a baseline, seed by seed.

    Args:
        runs: what `load_runs` returned.
        baseline: a configuration as `compare` names it; None for `default_baseline`.
        quantity: of `compare`'s.

    Returns:
        For each other configuration that can be compared with it (`comparable`) the mean `difference` over the seeds
        that both have, half its 95 % confidence `interval` (Student's t on the paired differences; of one comparison,
        not of all of them together), `seeds`, how many those are, and `sentence`, what follows. Runs that have finished
        are held together at their ends; where one of a pair has not, both at the last epoch that both have. Of several
        runs of one seed the one counts that has finished, or has come furthest.

    Raises:
        KeyError: where no configuration is called that.
    """
    table = compare(runs).set_index("configuration")
    baseline = baseline or default_baseline(runs)
    if baseline not in table.index:
        raise KeyError(baseline)
    last = last_epochs(runs)
    by_seed, grounds, options = _by_seed(runs, last, QUANTITIES[quantity]), _grounds(last), _options(last)
    rows = []
    for name in table.index.drop(baseline):
        if grounds[name] != grounds[baseline]:
            continue
        gaps = _gaps(by_seed[name], by_seed[baseline])
        mean, interval = _mean_and_interval(gaps)
        others = options.columns[(options.loc[name] != options.loc[baseline]).to_numpy()]
        only_weighed = all(option.startswith(WEIGHING) for option in others)
        sentence = _sentence(table.loc[name], table.loc[baseline], quantity, mean, interval, len(gaps), only_weighed)
        rows.append(
            {"configuration": name, "difference": mean, "interval": interval, "seeds": len(gaps), "sentence": sentence}
        )
    return pd.DataFrame(rows, columns=["configuration", "difference", "interval", "seeds", "sentence"])


def default_baseline(runs: pd.DataFrame, among: Collection[str] | None = None) -> str:
    """The configuration that others are held against: the best of those with `kl=analytic`, or else the best of all.

    Args:
        runs: what `load_runs` returned.
        among: the configurations to choose from; None for all.
    """
    last = last_epochs(runs)
    exact = last["configuration"][last["kl"] == "analytic"] if "kl" in last else last["configuration"][:0]
    names = compare(runs)["configuration"]
    names = names if among is None else names[names.isin(among)]
    return str(next(iter(names[names.isin(exact)]), names.iloc[0]))


def conclusions(runs: pd.DataFrame, baseline: str | None = None) -> list[str]:
    """What a comparison comes to, in sentences: the differences among what can be compared, or why there are none.

    Args:
        runs: what `load_runs` returned.
        baseline: as for `differences`; others are chosen for what cannot be compared with it.
    """
    together: dict[tuple[str, ...], list[str]] = {}
    for name, ground in _grounds(last_epochs(runs)).items():
        together.setdefault(ground, []).append(name)
    sentences = comparable(runs)
    for names in together.values():
        against = baseline if baseline in names else default_baseline(runs, names)
        found = differences(runs, against)
        if found.empty:
            sentences.append(f"{against}: there is nothing to hold it against.")
        elif (found["seeds"] < 2).all():
            sentences.append(f"No configuration shares two seeds with {against}: too few for a claim. Add seed=0,1,2.")
        else:
            sentences += found["sentence"].tolist()
    return sentences


def comparable(runs: pd.DataFrame) -> list[str]:
    """What forbids a comparison of all ELBOs with each other, in sentences: other data, other likelihoods."""
    sentences = []
    for column, what in COMPARED_WITHIN.items():
        found = sorted(_configured(runs)[column].map(_word).unique()) if column in runs else []
        if len(found) > 1:
            sentences.append(
                f"The runs have different {what} ({', '.join(found)}): ELBOs are compared within each only."
            )
    return sentences


def _grounds(last: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """For each configuration what it has to share with another to be compared with it."""
    columns = last.reindex(columns=[*COMPARED_WITHIN]).map(_word)
    return dict(zip(last["configuration"], columns.itertuples(index=False, name=None), strict=True))


def _options(last: pd.DataFrame) -> pd.DataFrame:
    """The composed options of each configuration, as words."""
    first = last.drop_duplicates("configuration").set_index("configuration")
    return first[_compared(first)].map(_word)


def _word(value: Any) -> str:
    """An option's value; what has none may be None or not a number, as pandas likes."""
    return "null" if pd.isna(value) else str(value)


def _configured(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs whose composed configuration can be read."""
    return runs[runs[_option_columns(runs)].notna().any(axis=1)]


def _compared(runs: pd.DataFrame) -> list[str]:
    """The columns of the options that make a configuration."""
    return [column for column in _option_columns(runs) if column.removeprefix("option/") not in NOT_COMPARED]


def _option_columns(runs: pd.DataFrame) -> list[str]:
    return [column for column in runs if column.startswith("option/")]


def _one_of_each_seed(last: pd.DataFrame) -> pd.DataFrame:
    """Of several runs of one configuration and seed the one that has finished, or has come furthest."""
    seed = last["seed"].map(str).where(last["seed"].notna(), last["run"]) if "seed" in last else last["run"]
    ranked = last.assign(seed=seed, _done=last["status"] == "finished", _epoch=last.get("epoch", 0))
    ranked = ranked.sort_values(["_done", "_epoch"], kind="stable", na_position="first")
    return ranked.groupby(["configuration", "seed"], sort=False).tail(1)


def _by_seed(runs: pd.DataFrame, last: pd.DataFrame, column: str) -> dict[str, dict[Any, tuple[bool, pd.Series]]]:
    """For each configuration and seed: whether the run finished, and the quantity by epoch."""
    values = runs.reindex(columns=["run", "epoch", column]).set_index("epoch").groupby("run")[column]
    series = dict(iter(values))
    found: dict[str, dict[Any, tuple[bool, pd.Series]]] = {name: {} for name in last["configuration"]}
    for _, run in _one_of_each_seed(last).iterrows():
        found[run["configuration"]][run["seed"]] = (run["status"] == "finished", series[run["run"]])
    return found


def _gaps(
    ours: Mapping[Any, tuple[bool, pd.Series]], theirs: Mapping[Any, tuple[bool, pd.Series]]
) -> NDArray[np.float64]:
    """The differences of two configurations, seed by seed."""
    gaps = []
    for seed in ours.keys() & theirs.keys():
        (our_end, our_values), (their_end, their_values) = ours[seed], theirs[seed]
        if our_end and their_end:
            gaps.append(our_values.iloc[-1] - their_values.iloc[-1])
        elif len(together := (our_values - their_values).dropna()):
            gaps.append(together.iloc[-1])
    values = np.array(gaps, float)
    return values[np.isfinite(values)]


def _configurations(last: pd.DataFrame) -> list[str]:
    """The overrides that not all runs have, and where two configurations would share them, the options that differ."""
    readable = _configured(last)["overrides"]
    common = set.intersection(*map(set, readable)) if len(readable) else set()
    names = [
        " ".join(word for word in overrides if word not in common) or "defaults" for overrides in last["overrides"]
    ]
    identity = [tuple(map(_word, row)) for row in last[_compared(last)].itertuples(index=False)]
    first_name: dict[tuple[str, ...], str] = {}
    for key, name in zip(identity, names, strict=True):
        first_name.setdefault(key, name)
    used: dict[str, tuple[str, ...]] = {}
    for key, name in first_name.items():
        unique, number = name, 2
        while used.setdefault(unique, key) != key:
            unique, number = f"{name} ({number})", number + 1
        first_name[key] = unique
    return [first_name[key] for key in identity]


def _row(name: str, group: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {
        "configuration": name,
        "runs": len(group),
        "finished": int((group["status"] == "finished").sum()),
    }
    counted = _one_of_each_seed(group)
    if row["finished"]:
        counted = counted[counted["status"] == "finished"]
    quantities = {**QUANTITIES, **{name: name for name in ("steps_to_elbo", "seconds_to_elbo") if name in group}}
    for quantity, column in quantities.items():
        values = pd.to_numeric(counted[column], errors="coerce") if column in counted else pd.Series(dtype=float)
        mean, interval = _mean_and_interval(values[np.isfinite(values)].to_numpy(float))
        row[quantity] = mean
        if quantity in ("elbo", "nll"):
            row[f"{quantity}_interval"] = interval
    others = group["status"][group["status"] != "finished"].value_counts()
    row["status"] = ", ".join(f"{count} {status}" for status, count in others.items())
    return row


def _reached(runs: pd.DataFrame, elbo: float) -> pd.DataFrame:
    column = QUANTITIES["elbo"]
    history = runs.reindex(columns=["run", "step", "seconds", column])
    first = history[history[column] >= elbo].groupby("run").head(1).set_index("run")
    return first[["step", "seconds"]].rename(columns={"step": "steps_to_elbo", "seconds": "seconds_to_elbo"})


def _mean_and_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The mean, and half the 95 % confidence interval of it; not a number where there are too few."""
    count = len(values)
    if count == 0:
        return float("nan"), float("nan")
    if count == 1:
        return float(values[0]), float("nan")
    error = float(np.std(values, ddof=1)) / np.sqrt(count)
    return float(np.mean(values)), float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1) * error)


def _sentence(
    row: pd.Series, baseline: pd.Series, quantity: str, mean: float, interval: float, seeds: int, only_weighed: bool
) -> str:
    """What follows from a difference; no claim where a seed or none is too few for one."""
    name, other = row.name, baseline.name
    if seeds < 2:
        return f"{name}: no claim, for only {seeds} of its seeds {'is' if seeds == 1 else 'are'} {other}'s, too."
    if abs(mean) <= interval:
        return f"{name}: no difference from {other} beyond noise ({mean:+.3g} ± {interval:.2g}, {seeds} seeds)."
    words = ("higher", "lower") if quantity in NEITHER_IS_BETTER else ("better", "worse")
    verdict = words[(mean < 0) == (quantity != "nll")]
    unit = "nats " if quantity in IN_NATS else ""
    why = _why(row, baseline, only_weighed and verdict == "worse") if quantity in ("elbo", "nll") else ""
    amount = f"{abs(mean):.3g} ± {interval:.2g}" if abs(mean) < 1000 else f"{abs(mean):.0f} ± {interval:.0f}"
    return f"{name}: {amount} {unit}{verdict} than {other}{why} ({seeds} seeds)."


def _why(row: pd.Series, baseline: pd.Series, may_be_the_cause: bool) -> str:
    """The effective beta, where it is another: the cause, where the gradient still has the KL's direction."""
    beta, cosine = row["effective_beta"], row["gradient_cosine"]
    if cosine < SAME_DIRECTION <= baseline["gradient_cosine"]:
        return f", with a gradient at a cosine of {cosine:.2g} to the exact KL's"
    if abs(beta - baseline["effective_beta"]) > 0.05 * abs(baseline["effective_beta"]):
        because = "because it trained" if may_be_the_cause and cosine >= SAME_DIRECTION else "trained"
        return f", {because} at an effective beta of {beta:.3g}"
    return ""
