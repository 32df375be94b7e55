"""A comparison in the terminal."""

from collections.abc import Sequence

from rich import table as rich_table
from rich.console import Console

from vae.compare.columns import Column, cells
from vae.compare.comparison import Comparison
from vae.compare.configurations import last_epochs, reasons_not_to_compare
from vae.compare.margin import MARGIN
from vae.compare.table import compare
from vae.compare.verdicts import conclusions

NAME_WIDTH = 24  # of the configurations, at least
PADDING = 3  # of a column: two spaces and a line


def show_comparison(
    comparison: Comparison, elbo: float | None = None, baseline: str | None = None, margin: float = MARGIN
) -> None:
    """Print the table, the best configuration first, and a sentence for each difference.

    If the terminal is too narrow for all columns, the least important are left out, and a line names them.

    Args:
        comparison: the runs.
        elbo: as for `compare`.
        baseline: as for `differences`.
        margin: as for `differences`.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    columns, rows = cells(compare(comparison, elbo))
    count = len(last_epochs(comparison))
    hidden = _hidden(columns, rows, console.width)
    visible = [number for number, column in enumerate(columns) if column not in hidden]
    configuration, *quantities = (columns[number].heading for number in visible)
    printed = rich_table.Table(
        rich_table.Column(configuration, min_width=NAME_WIDTH, overflow="fold"),
        *(rich_table.Column(heading, justify="right", no_wrap=True) for heading in quantities),
        title=f"{count} {'run' if count == 1 else 'runs'}; nats per image, validation split",
    )
    best = None if reasons_not_to_compare(comparison) else 0
    for number, row in enumerate(rows):
        printed.add_row(*(row[column] for column in visible), style="bold green" if number == best else None)
    console.print(printed)
    if hidden:
        names = ", ".join(column.heading for column in hidden)
        console.print(f"Hidden in this narrow terminal: {names}. --format=csv prints all columns.", style="dim")
    for sentence in conclusions(comparison, baseline, margin):
        console.print(sentence, style="yellow" if " nats worse than " in sentence else None)


def _hidden(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[Column]:
    """Return the columns to leave out, the least important first, until the others fit into the width."""
    widths = {
        column: PADDING + max(len(column.heading), *(len(row[number]) for row in rows))
        for number, column in enumerate(columns)
    }
    del widths[columns[0]]
    hidden: list[Column] = []
    for column in sorted(columns, key=lambda column: column.priority or 0):
        if NAME_WIDTH + PADDING + 1 + sum(widths.values()) <= width:
            break
        if column.priority is not None:
            del widths[column]
            hidden.append(column)
    return hidden
