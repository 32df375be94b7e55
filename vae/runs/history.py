"""The history of a run, `history.csv`: one row for each epoch.

Columns: `epoch` and `step`, counted from 1; `seconds` of training; then the quantities under their names in
`vae.runs.quantities`, such as `validation/elbo`.
"""

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vae.runs.files import atomic_path


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the rows of a history.

    A cell that is empty is left out, and text that is not a number becomes NaN. A last row that is only partly
    written is left out. A file that is missing or damaged has no rows.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {name: _number(text) for name, text in row.items() if name and text}
                for row in csv.DictReader(file)
                if None not in row.values()
            ]
    except (OSError, csv.Error, UnicodeDecodeError):
        return []


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


class HistoryWriter:
    """The writer of a history.

    Args:
        path: the file.
        steps: training steps that the run has behind it. Rows of later steps are removed from the file: a run that
            resumes from a checkpoint trains these epochs again.
    """

    def __init__(self, path: Path, steps: int = 0) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []
        for row in read_history(path) if steps else []:
            if row.get("step", math.inf) <= steps:
                self.rows.append({**row, "epoch": int(row["epoch"]), "step": int(row["step"])})
        self._columns = list(dict.fromkeys(name for row in self.rows for name in row))
        if self.rows:
            self._rewrite()

    @property
    def seconds(self) -> float:
        """Seconds of training until the last row."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def append(self, row: Mapping[str, Any]) -> None:
        """Append a row in one write. If it has new columns, the file is replaced as a whole."""
        self.rows.append(dict(row))  # a number that does not exist is NaN there and an empty cell in the file
        new_columns = [name for name in row if name not in self._columns]
        if new_columns:
            self._columns += new_columns
            self._rewrite()
        else:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(_cells(row))

    def _rewrite(self) -> None:
        with atomic_path(self._path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(map(_cells, self.rows))


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
