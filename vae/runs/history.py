"""The history of a run, `history.csv`: one row for each epoch.

Columns: `epoch` and `step`, counted from 1; `seconds` of training; then the quantities under their names in
`vae.runs.quantities`, such as `validation/elbo`.
"""

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vae.errors import UserError, printable
from vae.runs.files import atomic_path
from vae.runs.untrusted import MEBIBYTE, RefusedFileError, read_bytes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The columns that tell when a row was written
TIMES = ("epoch", "step", "seconds")
#: The most epochs of a history that is read; 256 MiB, its largest size, are about 200,000 of a real run
MOST_ROWS = 1_000_000
#: The most columns of a history that is read; a run of 2,000 latent variables has 4,100
MOST_COLUMNS = 20_000
#: The most cells of a history that are read. 256 MiB have 21,000,000 of a run whose every epoch is audited
MOST_CELLS = 25_000_000


_COUNTS = ("epoch", "step")


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the rows of a history.

    A cell that is empty is left out, and text that is not a number becomes NaN. A last row that is only partly
    written is left out. A file that is missing or damaged has no rows.

    Raises:
        RefusedFileError: if the file is not one of the run's own, or too large (`vae.runs.untrusted`), or has more rows
            or columns than any that a run writes.
    """
    names, rows = _read(path)
    return [
        {name: _number(cell) for name, cell in zip(names.values(), row, strict=False) if name and cell.strip()}
        for row in rows
    ]


def read_history_columns(
    path: Path, is_wanted: Callable[[str], bool] | None = None
) -> "tuple[list[str], NDArray[np.float64]]":
    """Return the names of a history's columns, and its rows as in `read_history`, with NaN for an empty cell.

    Args:
        path: the file.
        is_wanted: tells of a column's name whether it is read, which takes most of the time; None for all.

    Returns:
        The names, and `(epochs, columns)`.

    Raises:
        RefusedFileError: as for `read_history`.
    """
    import numpy as np  # the command line reads no history, and these take two tenths of a second
    import pyarrow as pa

    names, rows = _read(path, is_wanted)
    cells = [row[place] or None for row in rows for place in names]
    try:  # Arrow parses a number in a third of the time that Python takes, to the same value
        numbers = pa.array(cells, pa.string()).cast(pa.float64()).to_numpy(zero_copy_only=False)
    except ValueError:
        numbers = [_number(cell or b"") for cell in cells]
    return [*names.values()], np.array(numbers, float).reshape(len(rows), len(names))


def _read(path: Path, is_wanted: Callable[[str], bool] | None = None) -> tuple[dict[int, str], list[list[bytes]]]:
    """Return the wanted columns, and the cells of the complete rows, which end in a newline and may have more.

    The cells are not decoded, and those behind the last column that is wanted not split: both would take twice as long.

    Returns:
        The name of each wanted column by its place in a row, and the rows.
    """
    try:
        content = read_bytes(path, path.parent)
        end, count = content.find(b"\n"), content.count(b"\n")
        _check_count(path, count - 1, MOST_ROWS, "rows")  # before there is an object for each
        _check_count(path, end, MEBIBYTE, "bytes of names")
        _check_count(path, content.count(b",", 0, end) + 1, MOST_COLUMNS, "columns")
        columns = _columns(content[: max(end, 0)])
    except RefusedFileError:
        raise
    except (OSError, csv.Error, UnicodeDecodeError):
        return {}, []
    names = {place: name for place, name in enumerate(columns) if is_wanted is None or is_wanted(name)}
    splits, commas = max(names, default=-1) + 1, len(columns) - 1
    _check_count(path, (count - 1) * splits, MOST_CELLS, "cells")
    lines = content.split(b"\n")[1:-1]
    complete = (line for line in lines if line.count(b",") >= commas and (commas > 0 or line.strip()))
    return names, [line.rstrip(b"\r").split(b",", splits) for line in complete]  # Arrow refuses a cell with white space


def _check_count(path: Path, count: int, most: int, name: str) -> None:
    """Refuse a history that has more of something than is read."""
    if count > most:
        raise RefusedFileError(f"{path}: has {count:,} {name}, and at most {most:,} are read")


@lru_cache  # most runs have the same
def _columns(header: bytes) -> tuple[str, ...]:
    """Return the names of a history's columns."""
    return tuple(next(csv.reader([printable(header.decode().rstrip())]), []))


def _number(cell: bytes) -> float:
    try:
        return float(cell or math.nan)
    except ValueError:
        return math.nan


class HistoryWriter:
    """The writer of a history. It holds no more than the names of the columns, however many epochs there are.

    Attributes:
        kept: the rows that the file had before and keeps.

    Args:
        path: the file.
        steps: training steps that the run has behind it. Rows of later steps are removed from the file: a run that
            resumes from a checkpoint trains these epochs again.

    Raises:
        UserError: as for `complete_rows`, before anything is written.
    """

    def __init__(self, path: Path, steps: int = 0) -> None:
        self._path = path
        self.kept = [row for row in complete_rows(path) if row["step"] <= steps]
        self._columns: list[str] = []
        if self.kept:
            self._rewrite(self.kept)

    def append(self, row: Mapping[str, Any]) -> None:
        """Append a row in one write. A NaN becomes an empty cell. If there are new columns, the file is replaced."""
        if not row.keys() <= set(self._columns):
            self._rewrite([*(complete_rows(self._path) if self._columns else []), row])
        else:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(_cells(row))

    def _rewrite(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._columns = list(dict.fromkeys([*self._columns, *(name for row in rows for name in row)]))
        with atomic_path(self._path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(map(_cells, rows))


def complete_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a history that a run goes on from, with whole numbers of epochs and steps.

    Raises:
        UserError: if there is such a file, but not one that is read (`vae.runs.untrusted`): its rows would be lost.
    """
    try:
        rows = read_history(path)
    except RefusedFileError as error:
        raise UserError(str(error)) from None
    counted = (row for row in rows if all(math.isfinite(row.get(name, math.nan)) for name in _COUNTS))
    return [{**row, "epoch": int(row["epoch"]), "step": int(row["step"])} for row in counted]


def _cells(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "" if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}
