"""One row for each configuration, over its seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from vae.compare.runs import NOT_COMPARED

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
        `configuration`; `runs` and `finished`, how many; then the mean of each quantity over the runs that have it,
        from their last epoch, and for the ELBO and the NLL in `..._interval` half the 95 % confidence interval of the
        mean by Student's t (not a number for a single run); `status`, where some did not finish. With `elbo`,
        `steps_to_elbo` and `seconds_to_elbo`, the mean over the runs that reached it.
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
        baseline: a configuration as `compare` names it; None for the best.
        quantity: of `compare`'s.

    Returns:
        For each other configuration the mean `difference` over the seeds that both have, half its 95 % confidence
        `interval` (Student's t on the paired differences), `seeds`, how many those are, and `sentence`, what follows.

    Raises:
        KeyError: where no configuration is called that.
    """
    last = last_epochs(runs)
    table = compare(runs)
    baseline = baseline or str(table["configuration"].iloc[0])
    if baseline not in set(table["configuration"]):
        raise KeyError(baseline)
    column = QUANTITIES[quantity]
    values = last.pivot_table(index="seed", columns="configuration", values=column)
    rows = []
    for _, row in table.iterrows():
        name = row["configuration"]
        if name == baseline:
            continue
        pairs = values.reindex(columns=[name, baseline]).dropna()
        gaps = (pairs[name] - pairs[baseline]).to_numpy()
        mean, interval = _mean_and_interval(gaps)
        sentence = _sentence(name, baseline, quantity, mean, interval, len(gaps), row["effective_beta"])
        rows.append(
            {"configuration": name, "difference": mean, "interval": interval, "seeds": len(gaps), "sentence": sentence}
        )
    return pd.DataFrame(rows, columns=["configuration", "difference", "interval", "seeds", "sentence"])


def comparable(runs: pd.DataFrame) -> list[str]:
    """What forbids a comparison of ELBOs, in sentences: other data, other likelihoods."""
    last = last_epochs(runs)
    reasons = {
        "option/data.name": "data sets",
        "option/data.binarization": "binarizations",
        "option/likelihood._target_": "likelihoods",
        "option/data.shape": "image sizes",
    }
    sentences = []
    for column, what in reasons.items():
        found = sorted(map(str, last[column].dropna().unique())) if column in last else []
        if len(found) > 1:
            sentences.append(f"The runs have different {what} ({', '.join(found)}): their ELBOs cannot be compared.")
    return sentences


def _configurations(last: pd.DataFrame) -> list[str]:
    """The overrides that not all runs have, and where two configurations would share them, the options that differ."""
    common = set.intersection(*map(set, last["overrides"])) if len(last) else set()
    names = [
        " ".join(word for word in overrides if word not in common) or "defaults" for overrides in last["overrides"]
    ]
    options = [column for column in last if column.startswith("option/")]
    compared = [column for column in options if column.removeprefix("option/") not in NOT_COMPARED]
    identity = [tuple(map(str, row)) for row in last[compared].itertuples(index=False)]
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
    quantities = {**QUANTITIES, **{name: name for name in ("steps_to_elbo", "seconds_to_elbo") if name in group}}
    for quantity, column in quantities.items():
        values = pd.to_numeric(group[column], errors="coerce").dropna() if column in group else pd.Series(dtype=float)
        mean, interval = _mean_and_interval(values.to_numpy(float))
        row[quantity] = mean
        if quantity in ("elbo", "nll"):
            row[f"{quantity}_interval"] = interval
    others = group["status"][group["status"] != "finished"].value_counts()
    row["status"] = ", ".join(f"{count} {status}" for status, count in others.items())
    return row


def _reached(runs: pd.DataFrame, elbo: float) -> pd.DataFrame:
    column = QUANTITIES["elbo"]
    first = runs[runs[column] >= elbo].groupby("run").head(1).set_index("run")
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


def _sentence(name: str, baseline: str, quantity: str, mean: float, interval: float, seeds: int, beta: float) -> str:
    if seeds < 2:
        return f"{name}: no claim, for only {seeds} of its seeds {'is' if seeds == 1 else 'are'} {baseline}'s, too."
    amount = f"{abs(mean):.3g} ± {interval:.2g}"
    if abs(mean) <= interval:
        return f"{name}: no difference from {baseline} beyond noise ({mean:+.3g} ± {interval:.2g}, {seeds} seeds)."
    higher_is_better = quantity in ("elbo", "active_units", "steps_per_second")
    verdict = "better" if (mean > 0) == higher_is_better else "worse"
    why = f", trained at an effective beta of {beta:.3g}" if abs(beta - 1.0) > 0.05 else ""
    unit = "nats " if quantity in ("elbo", "nll", "kl", "reconstruction") else ""
    return f"{name}: {amount} {unit}{verdict} than {baseline} ({seeds} seeds){why}."
