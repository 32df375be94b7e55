"""Configurations: the runs that differ in nothing but their seed, under one name."""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import pandas as pd

from vae.compare.comparison import Comparison, computed_once
from vae.runs.identity import NOT_COMPARED, identifying_value
from vae.runs.loading import load_runs
from vae.runs.quantities import VALIDATION
from vae.runs.summary import Status

__all__ = ["identifying_options", "last_epochs", "load_runs", "reasons_not_to_compare", "shared_conditions"]

#: Options that two runs must share for a difference of their ELBOs to mean something, and what each is called
CONDITIONS = {
    "option/data.name": "data set",
    "option/data.binarization": "binarization",
    "option/likelihood._target_": "likelihood",
    "option/data.shape": "image size",
    "option/data.invert": "inversion",
    "option/data.take": "number of images",
    "option/data.validation_size": "validation split",
}

#: Options of the term and of its weight. If no other differs, the effective beta is the cause of a difference, and one
#: frontier is that of both.
TERM_OPTIONS = ("kl.", "beta.", "objective.")


@computed_once
def last_epochs(comparison: Comparison) -> pd.DataFrame:
    """Return a row for each run: its last epoch, and `configuration`, the name of its configuration.

    An epoch without validation has the figures of the last one with it.

    Args:
        comparison: the runs, or the table of `load_runs`.
    """
    last = _validated(comparison.runs).groupby("run", sort=False).tail(1).set_index("run", drop=False)
    return last.assign(configuration=_names(last))


def one_run_per_seed(last: pd.DataFrame) -> pd.DataFrame:
    """Return one run of each configuration and seed: the one that has finished, or else has come furthest.

    Args:
        last: the table of `last_epochs`, or part of it.
    """
    seed = last["seed"].map(str).where(last["seed"].notna(), last["run"]) if "seed" in last else last["run"]
    ranked = last.assign(seed=seed, _finished=last["status"] == Status.FINISHED, _epoch=last.get("epoch", 0))
    ranked = ranked.sort_values(["_finished", "_epoch"], kind="stable", na_position="first")
    return ranked.groupby(["configuration", "seed"], sort=False).tail(1)


def by_configuration(named: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each configuration, in the order of the table."""
    return [(str(name), group) for name, group in named.groupby("configuration", sort=False)]


@computed_once
def reasons_not_to_compare(comparison: Comparison) -> list[str]:
    """Return a sentence for each reason that not all ELBOs can be compared, such as different data sets.

    Args:
        comparison: the runs, or the table of `load_runs`.
    """
    sentences, readable = [], _readable(comparison.runs.drop_duplicates("run"))
    for column, condition in CONDITIONS.items():
        values = sorted({*map(_text, readable[column])}) if column in readable else []
        if len(values) > 1:
            sentences.append(
                f"The runs differ in {condition} ({', '.join(values)}): ELBOs are compared only between runs that "
                "share it."
            )
    return sentences


def shared_conditions(last: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Return, for each configuration, the conditions that another must share to be compared with it.

    Args:
        last: the table of `last_epochs`.
    """
    columns = last.reindex(columns=[*CONDITIONS]).map(_text)
    return dict(zip(last["configuration"], columns.itertuples(index=False, name=None), strict=True))


def identifying_options(last: pd.DataFrame) -> dict[str, list[str]]:
    """Return the options that identify a configuration: for each option its value in each row, as text.

    Args:
        last: a row for each run or configuration.
    """
    names = {column: column.removeprefix("option/") for column in _option_columns(last)}
    return {
        name: [_text(identifying_value(name, value)) for value in last[column]]
        for column, name in names.items()
        if name not in NOT_COMPARED
    }


def _validated(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs, with an epoch that was not validated filled from the last one before it that was.

    In a run that diverged, a missing figure is NaN, which stays.
    """
    columns = [column for column in runs if column.startswith(f"{VALIDATION}/")]
    is_blank = runs[columns].isna().all(axis=1) & (runs["status"] != Status.DIVERGED)
    if not columns or not is_blank.any():
        return runs
    filled = runs[columns].where(~is_blank).groupby(runs["run"], sort=False).ffill()
    return runs.assign(**runs[columns].where(~is_blank, filled))


def _names(last: pd.DataFrame) -> list[str]:
    """Name each run's configuration by the overrides that not all runs have; a number tells equal names apart.

    Of several ways to write one configuration, the shortest names it. An experiment is named only where the names would
    be equal without it, because most are sweeps, and change no option.
    """
    readable = _readable(last)["overrides"]
    common = set.intersection(*map(set, readable)) if len(readable) else set()
    identities = list(zip(*identifying_options(last).values(), strict=True)) or [()] * len(last)
    written: dict[tuple[str, ...], list[list[str]]] = {}
    for identity, texts in zip(identities, last["overrides"], strict=True):
        written.setdefault(identity, []).append([text for text in texts if text not in common])
    short = {
        identity: _shortest([text for text in texts if not text.startswith("experiment=")] for texts in ways)
        for identity, ways in written.items()
    }
    times = Counter(short.values())
    names = {identity: name if times[name] == 1 else _shortest(written[identity]) for identity, name in short.items()}
    taken: set[str] = set()
    for identity, name in names.items():
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name} ({number})", number + 1
        taken.add(unique)
        names[identity] = unique
    return [names[identity] for identity in identities]


def _shortest(ways: Iterable[Sequence[str]]) -> str:
    return min((" ".join(texts) for texts in ways), key=len) or "defaults"


def _readable(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs whose composed configuration could be read."""
    return runs[runs[_option_columns(runs)].notna().any(axis=1)]


def _option_columns(runs: pd.DataFrame) -> list[str]:
    return [column for column in runs if column.startswith("option/")]


@lru_cache(maxsize=10_000, typed=True)  # the runs of a sweep have most values in common
def _text(value: Any) -> str:
    """Return an option's value as text. A missing value, which pandas represents in several ways, is null."""
    return "null" if pd.isna(value) else str(value)
