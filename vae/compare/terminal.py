"""A comparison in the terminal."""

import pandas as pd
from rich.console import Console
from rich.table import Column, Table

from vae.compare.report import cells
from vae.compare.table import conclusions


def show_comparison(runs: pd.DataFrame, table: pd.DataFrame, baseline: str | None = None) -> None:
    """Prints the table, the best configuration first, and a sentence for each difference.

    Args:
        runs: what `load_runs` returned.
        table: what `compare` made of them.
        baseline: as for `differences`.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns, rows = cells(table)
    head = [Column(columns[0]), *(Column(name, justify="right", no_wrap=True) for name in columns[1:])]
    shown = Table(*head, title=f"{runs['run'].nunique()} runs; nats per image, validation split")
    for place, row in enumerate(rows):
        shown.add_row(*row, style="bold green" if place == 0 else None)
    console.print(shown)
    for sentence in conclusions(runs, baseline):
        console.print(sentence, style="yellow" if " nats worse than " in sentence else None)
