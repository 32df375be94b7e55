"""A comparison in the terminal."""

from collections.abc import Sequence

import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from vae.compare.report import cells
from vae.compare.statistics import comparable, conclusions

NAME_WIDTH = 24  # of the configurations, at least
LEAST_NEEDED = (
    "steps/s",
    "active units",
    "cosine",
    "seconds to ELBO",
    "steps to ELBO",
    "reconstruction",
    "KL",
    "finished",
)


def show_comparison(runs: pd.DataFrame, table: pd.DataFrame, baseline: str | None = None) -> None:
    """Prints the table, the best configuration first, and a sentence for each difference.

    A terminal that is too narrow for all columns has those that matter most, and a line that says which it has not.

    Args:
        runs: what `load_runs` returned.
        table: what `compare` made of them.
        baseline: as for `differences`.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns, rows = cells(table)
    hidden = _hidden(columns, rows, console.width)
    kept = [place for place, name in enumerate(columns) if name not in hidden]
    head = [Column(columns[place], justify="right", no_wrap=True) for place in kept[1:]]
    shown = Table(
        Column(columns[0], min_width=NAME_WIDTH, overflow="fold"),
        *head,
        title=f"{runs['run'].nunique()} runs; nats per image, validation split",
    )
    best = None if comparable(runs) else 0
    for place, row in enumerate(rows):
        shown.add_row(*(row[column] for column in kept), style="bold green" if place == best else None)
    console.print(shown)
    if hidden:
        console.print(f"Not shown, for want of width: {', '.join(hidden)}. --format=csv has them.", style="dim")
    for sentence in conclusions(runs, baseline):
        console.print(sentence, style="yellow" if " nats worse than " in sentence else None)


def _hidden(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The columns to leave out, the least needed first, until the others fit into a width."""
    needed = {name: max(len(row[place]) for row in [columns, *rows]) + 3 for place, name in enumerate(columns) if place}
    hidden: list[str] = []
    for name in LEAST_NEEDED:
        if NAME_WIDTH + 4 + sum(needed.values()) <= width:
            break
        if needed.pop(name, None):
            hidden.append(name)
    return hidden
