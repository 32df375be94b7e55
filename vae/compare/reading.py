"""Runs read for a comparison: of all runs the few columns that are compared, of the runs in a plot those that it shows.

A history has about a hundred columns, most of them of the audit, and reading it is most of the time of a comparison.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vae.runs.history import TIMES
from vae.runs.loading import RunReader
from vae.runs.paths import RunDirectory, runs_below
from vae.runs.quantities import AUDIT, QuantityName, comparison_columns

if TYPE_CHECKING:
    import pandas as pd

    from vae.compare.comparison import Comparison

#: Audited quantities, of each implementation or latent variable, that plots show
PLOTTED = ("gap", "gradient_cosine", "kl_per_latent")


class ComparisonReader:
    """A reader of the runs below folders that reads a run again only if one of its files has changed.

    Args:
        root: the folder that the names of the runs are relative to; None for their paths as names.
        forks: True to read thousands of runs in several processes.
    """

    def __init__(self, root: Path | None = None, forks: bool = False) -> None:
        self._root = root
        self._compared = RunReader(_is_compared, compact=True, forks=forks)
        self._plotted = RunReader(_is_plotted, compact=True)

    def read(self, *paths: str | Path) -> "Comparison":
        """Return a comparison of the runs in and below the folders.

        Raises:
            UserError: as for `load_runs`.
        """
        read = self._compared.begin(runs_below(*paths))
        from vae.compare.comparison import Comparison  # takes a second to load, in which other processes may read

        return Comparison(self._named(read()), self._details)

    def _details(self, names: Sequence[str]) -> "pd.DataFrame":
        root = self._root or Path()
        return self._named(self._plotted.read([RunDirectory(root / name) for name in names]))

    def _named(self, runs: "pd.DataFrame") -> "pd.DataFrame":
        if self._root is None:
            return runs
        names = {run: Path(run).relative_to(self._root).as_posix() for run in runs["run"].unique()}
        return runs.assign(run=runs["run"].map(names))


@lru_cache(maxsize=10_000)  # all runs have the same columns, unless they are a stranger's
def _is_compared(column: str) -> bool:
    return column in TIMES or column in comparison_columns().values()


@lru_cache(maxsize=10_000)
def _is_plotted(column: str) -> bool:
    name = QuantityName.from_column(column)
    return _is_compared(column) or (name is not None and name.split == AUDIT and name.quantity in PLOTTED)
