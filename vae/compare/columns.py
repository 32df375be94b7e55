"""The columns of the comparison table, as a person reads them."""

import math
from dataclasses import dataclass

import pandas as pd

from vae.compare.sentences import plus_minus
from vae.runs.quantities import QUANTITIES, comparison_columns


@dataclass(frozen=True)
class Column:
    """A column of the comparison table.

    Args:
        heading: its heading.
        meaning: what it is, as a phrase.
        form: format specification of its numbers.
        priority: order in which a narrow terminal leaves columns out, the lowest first; None if it never does.
    """

    heading: str
    meaning: str
    form: str = ".2f"
    priority: int | None = None


#: The columns of the table of `compare`, in order
COLUMNS = {
    "configuration": Column("configuration", "the overrides in which the runs differ"),
    "finished": Column("finished", "finished runs of all runs", priority=8),
    **{
        name: Column(quantity.title, quantity.definition, quantity.form, quantity.priority)
        for name, quantity in QUANTITIES.items()
        if name in comparison_columns()
    },
    "frontier_gap": Column(
        "frontier gap", "nats by which it is worse than the exact KL at the same rate (the KL), per image", "+.2f"
    ),
    "best_elbo": Column("best ELBO", "the highest validation ELBO of any epoch, in nats per image", priority=3),
    "best_epoch": Column("best epoch", "the epoch of the best ELBO", ".1f", priority=1),
    "rise": Column("rise", "what the ELBO rises by over the last fifth of the epochs, in nats an epoch", "+.3f", 1),
    "reached": Column("reached", "the number of runs that reached the requested ELBO", ".0f", priority=7),
    **{
        f"{unit}_to_elbo{suffix}": Column(
            f"{unit} to ELBO{note}", f"{meaning} {unit} to the requested ELBO", form, order
        )
        for suffix, note, meaning, order in (
            ("", "", "median, by Kaplan-Meier, of the", 5),
            ("_mean", " (mean)", "mean, up to the end of the shortest configuration, of the", 1),
        )
        for unit, form in (("epochs", ".1f"), ("steps", ".0f"), ("seconds", ".2f"))
    },
    "status": Column("status", "the runs that have not finished"),
}


def cells(table: pd.DataFrame) -> tuple[list[Column], list[list[str]]]:
    """Return the columns of the table of `compare` that are not empty, and its rows as text."""
    columns = {name: column for name, column in COLUMNS.items() if name in table and not _is_empty(table[name])}
    rows = [[_cell(row, name, column.form) for name, column in columns.items()] for _, row in table.iterrows()]
    return [*columns.values()], rows


def markdown_table(table: pd.DataFrame) -> str:
    """Return the table of `compare` as a table in Markdown."""
    columns, rows = cells(table)
    lines = [[column.heading for column in columns], ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _is_empty(column: pd.Series) -> bool:
    return bool((column.isna() | (column.astype(str) == "")).all())


def _cell(row: pd.Series, name: str, form: str) -> str:
    value = row[name]
    if name in ("configuration", "status"):
        return str(value)
    if name == "finished":
        return f"{row['finished']}/{row['runs']}"
    if not math.isfinite(value):
        return ""
    interval = row.get(f"{name}_interval", math.nan)
    return plus_minus(value, interval, signed="+" in form) if math.isfinite(interval) else f"{value:{form}}"
