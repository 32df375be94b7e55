"""Runs, finished or still running, complete or damaged, as one table."""

import math
import re
import warnings
from collections.abc import Callable, Collection, Sequence, Sized
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import yaml

from vae import processes
from vae.errors import printable
from vae.runs.files import read_json
from vae.runs.history import read_history_columns
from vae.runs.identity import NOT_COMPARED, flatten, with_current_names
from vae.runs.paths import RunDirectory, runs_below
from vae.runs.summary import Status, read_summary
from vae.runs.untrusted import (
    MOST_CHARACTERS,
    MOST_OPTIONS,
    MOST_OPTIONS_OF_ALL,
    RefusedFileError,
    parsed_yaml,
    read_yaml_text,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

#: The most cells of a table: in float64, 4 GB. A thousand runs of 1,000 epochs have half of it.
MOST_CELLS_OF_ALL = 500_000_000
_OPTION, _EVALUATED = "option/", "evaluation/"
#: Runs that are read in the time in which another process starts
_FEWEST = 500
#: The largest number in float32, which quantities are in
_MOST = (2 - 2**-23) * 2.0**127
_SUMMARY = (
    *("status", "seed", "kl", "effective_beta", "epochs", "steps", "model_steps", "steps_per_second", "engine"),
    "error",
)


#: Where a key or an item at the top of a YAML file begins
_KEY, _ITEM = re.compile(r"^(?=\w)", re.MULTILINE), re.compile(r"^(?=- )", re.MULTILINE)

#: An option that stands for another, which a run stores as it was written
_REFERENCE = re.compile(r"\$\{(?P<name>[\w.]+)\}")
_MOST_HOPS = 10  # from one to another, and so on

Content = TypeVar("Content")
Signature = tuple[tuple[int, int] | None, ...]


def load_runs(*paths: str | Path, columns: Callable[[str], bool] | None = None) -> "pd.DataFrame":
    """Return all runs in and below the folders as one tidy table, a row for each run and epoch.

    A run that is damaged or has not completed an epoch has one row without an epoch. Its `status` is that of
    summary.json, or "damaged" if that file cannot be read. A damaged file raises nothing.

    Args:
        paths: folders that are runs or have runs below them, at any depth.
        columns: tells of a column of history.csv whether to read it, which takes most of the time; None for all.

    Returns:
        A table with the columns `run`, the run's directory; `status`, `seed`, `kl`, `effective_beta`, ... of its
        summary; `overrides`, those of its command line that make it another configuration, in their order;
        `option/...`, its composed configuration; `evaluation/...`, if it has been measured since it last trained;
        `epoch`, `step`, `seconds`, and `train/...`, `validation/...` and `audit/...` of history.csv.

    Raises:
        UserError: if a folder does not exist or cannot be read, or none has a run.
    """
    return RunReader(columns).read(runs_below(*paths))


class RunReader:
    """A reader of runs that keeps what it has read, and reads a run again only if one of its files has changed.

    Args:
        columns: as for `load_runs`.
        compact: True for a table whose options are categories if they are text, in a tenth of the memory.
        forks: True to read thousands of runs in several processes.
    """

    def __init__(
        self, columns: Callable[[str], bool] | None = None, compact: bool = False, forks: bool = False
    ) -> None:
        self._columns, self._compact, self._forks = columns, compact, forks
        self._read: dict[str, tuple[Signature, _Run]] = {}

    def read(self, directories: Sequence[RunDirectory]) -> "pd.DataFrame":
        """Return the table of `load_runs` of these runs, and forget all others."""
        return self.begin(directories)()

    def begin(self, directories: Sequence[RunDirectory]) -> "Callable[[], pd.DataFrame]":
        """Begin to read runs in other processes if there are enough, and return a function that waits for the table."""
        # taken first: what changes while it is read is read again
        signatures = {str(directory): signature_of(directory) for directory in directories}
        kept = {name: known for name, known in self._read.items() if known[0] == signatures.get(name)}
        others = [directory for directory in directories if str(directory) not in kept]
        fewest = _FEWEST if self._forks else len(others) + 1
        results = processes.begin(partial(_read, self._columns), others, fewest)

        def table() -> "pd.DataFrame":
            new = dict(zip(map(str, others), results(), strict=True))
            self._read = {name: kept.get(name) or (found, new[name]) for name, found in signatures.items()}
            return _table([run for _, run in self._read.values()], self._compact)

        return table


def _read(columns: Callable[[str], bool] | None, directories: Sequence[RunDirectory]) -> "list[_Run]":
    return [_Run(_facts(directory), *_history(directory, columns)) for directory in directories]


def _history(directory: RunDirectory, columns: Callable[[str], bool] | None) -> "tuple[list[str], NDArray[np.float64]]":
    import numpy as np

    names, values = _read_if_good(lambda: read_history_columns(directory.history, columns)) or ([], np.empty((0, 0)))
    return names, np.where(np.isfinite(values) & (np.abs(values) > _MOST), math.nan, values)


class _Run(NamedTuple):
    """What has been read of a run: its facts, and the columns of its history with `(epochs, columns)` values."""

    facts: dict[str, Any]
    columns: list[str]
    values: "NDArray[np.float64]"


def signature_of(directory: RunDirectory) -> Signature:
    """Return what changes with every file of a run that `load_runs` reads: times and sizes."""
    files = (directory.summary, directory.history, directory.evaluation, directory.config, directory.overrides)
    return tuple(map(file_signature, files))


def file_signature(path: Path) -> tuple[int, int] | None:
    """Return what changes with a file: its time and size; None if it is missing or cannot be seen."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _table(runs: Sequence[_Run], compact: bool) -> "pd.DataFrame":
    import numpy as np
    import pandas as pd  # takes half a second: a mistake in a path has been reported

    bounded = [run.facts for run in runs]
    for prefix in (_OPTION, _EVALUATED):
        bounded = _with_names_in_common(bounded, prefix)
    facts = pd.DataFrame(bounded)
    if compact:
        options = [name for name in facts if name.startswith(_OPTION)]
        text = [name for name in options if pd.api.types.infer_dtype(facts[name]) == "string"]
        facts = facts.astype(dict.fromkeys(text, "category"))
    runs = _with_bounded_histories(runs, len(facts.columns))
    epochs = [max(len(run.values), 1) for run in runs]
    table = facts.take(np.repeat(np.arange(len(runs)), epochs))
    table.index = pd.RangeIndex(len(table))
    joined = _joined(runs, epochs)
    joined = joined[[name for name in joined if name and name not in facts]]  # others only of a damaged file
    return pd.concat([table, joined], axis=1)


def _with_names_in_common(facts: Sequence[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """Return the facts of runs, of some without those of a prefix, so that their table has a bounded number of columns.

    The runs of a sweep have most names in common. The runs whose facts are left out are those with the most names.
    """
    if len(set().union(*facts)) <= MOST_OPTIONS_OF_ALL:
        return [*facts]
    names = [{name for name in found if name.startswith(prefix)} for found in facts]
    fitting = _that_fit([(1, own) for own in names], lambda _, columns: columns <= MOST_OPTIONS_OF_ALL)
    if refused := len(facts) - len(fitting):
        warnings.warn(
            f"the runs have more than {MOST_OPTIONS_OF_ALL:,} different columns {prefix}... in all; "
            f"those of {refused} runs are not read",
            stacklevel=2,
        )
    return [
        found if number in fitting else {name: value for name, value in found.items() if name not in names[number]}
        for number, found in enumerate(facts)
    ]


def _with_bounded_histories(runs: Sequence[_Run], others: int) -> list[_Run]:
    """Return the runs, some of them without their history, so that their table fits into memory.

    Each run has its rows in the columns of all others, so that two small files can make a huge table. The histories
    that are left out are those with the most cells.

    Args:
        runs: the runs.
        others: the columns that the table has besides those of the histories.
    """
    fitting = _that_fit(
        [(len(run.values), run.columns) for run in runs],
        lambda rows, columns: (len(runs) + rows) * columns <= MOST_CELLS_OF_ALL,
        others,
    )
    if refused := len(runs) - len(fitting):
        warnings.warn(
            f"the table of all runs would have more than {MOST_CELLS_OF_ALL:,} cells; {refused} histories are not read",
            stacklevel=2,
        )
    return [
        run if number in fitting else run._replace(columns=[], values=run.values[:0, :0])
        for number, run in enumerate(runs)
    ]


def _that_fit(
    tables: Sequence[tuple[int, Collection[str]]], fits: Callable[[int, int], bool], others: int = 0
) -> set[int]:
    """Return the places of the tables that fit below one another, the smallest first.

    Args:
        tables: the rows and the columns of each.
        fits: tells of the rows and of the different columns of all together whether there may be so many.
        others: columns that all have besides.
    """
    rows, columns, fitting = 0, set[str](), set[int]()
    for place in sorted(range(len(tables)), key=lambda place: tables[place][0] * (others + len(tables[place][1]))):
        count, names = tables[place]
        new = set(names) - columns
        if fits(rows + count, others + len(columns) + len(new)):
            rows += count
            columns |= new
            fitting.add(place)
    return fitting


def _joined(runs: Sequence[_Run], epochs: Sequence[int]) -> "pd.DataFrame":
    """Return the histories below each other, each in so many rows; a history without an epoch is a row of NaN."""
    import numpy as np
    import pandas as pd

    names = list(dict.fromkeys(name for run in runs if len(run.values) for name in run.columns))
    places = {name: place for place, name in enumerate(names)}
    values = np.full((len(names), sum(epochs)), np.nan)
    start = 0
    for run, count in zip(runs, epochs, strict=True):
        if len(run.values):
            values[[places[name] for name in run.columns], start : start + count] = run.values.T
        start += count
    return pd.DataFrame(values.T, columns=names, copy=False)


def _facts(directory: RunDirectory) -> dict[str, Any]:
    summary = read_summary(directory)
    facts: dict[str, Any] = {"run": str(directory), "status": str(Status.DAMAGED)}
    facts |= {name: _shown(summary[name]) for name in _SUMMARY if isinstance(summary.get(name), str | int | float)}
    facts["overrides"] = _overrides(directory)
    facts |= _options(directory)
    evaluation = read_json(directory.evaluation)
    if not _is_bounded(evaluation, directory.evaluation, "quantities"):
        return facts
    if (steps := evaluation.get("steps")) not in (None, summary.get("steps"), summary.get("model_steps")):
        figures = f"the run's figures are of step {summary.get('steps')}"
        warnings.warn(f"{directory.evaluation}: is of step {steps}, and {figures}; it is left out", stacklevel=2)
        return facts
    single = {name: _shown(value) for name, value in evaluation.items() if not isinstance(value, list)}
    return facts | {f"{_EVALUATED}{printable(name)}": value for name, value in single.items()}


def _shown(value: Any) -> Any:
    """Return a value of a file as a cell: text without control characters, NaN for a number that no run has."""
    if isinstance(value, int):
        return value if value.bit_length() < 64 else math.nan
    if isinstance(value, float):
        return value if abs(value) <= _MOST else math.nan
    return value if value is None else printable(str(value))[:MOST_CHARACTERS]


def _overrides(directory: RunDirectory) -> tuple[str, ...]:
    """Return the overrides that make a run another configuration, without Hydra's leading + or ++."""
    items = _read_if_good(
        lambda: _in_parts(_read_overrides, _ITEM, read_yaml_text(directory.overrides, directory.path))
    )
    found = tuple(dict.fromkeys(override for overrides in items or () for override in overrides))
    return found if _is_bounded(found, directory.overrides, "overrides") else ()


@lru_cache(maxsize=4096)
def _read_overrides(text: str) -> list[str]:
    content = parsed_yaml(text)
    overrides = [str(_shown(str(override))).lstrip("+") for override in content] if isinstance(content, list) else []
    names = {override: override.partition("=")[0].lstrip("~") for override in overrides}
    return [text for text, name in names.items() if name not in NOT_COMPARED and not name.startswith("hydra")]


def _options(directory: RunDirectory) -> dict[str, Any]:
    """Return the options of a run by their columns, `option/` and the dotted name."""
    groups = _read_if_good(lambda: _in_parts(_read_options, _KEY, read_yaml_text(directory.config, directory.path)))
    options: dict[str, Any] = {}
    for group in groups or ():
        options |= group
    for name, value in options.items():
        if isinstance(value, str) and value.startswith("${"):
            options[name] = _referred(value, options)
    return options if _is_bounded(options, directory.config, "options") else {}


def _referred(value: Any, options: dict[str, Any]) -> Any:
    """Return the value of the option to which one such as `${trainer.epochs}` refers, or what was written."""
    for _ in range(_MOST_HOPS):
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if match is None or (name := f"{_OPTION}{match['name']}") not in options:
            break
        value = options[name]
    return value


def _is_bounded(found: Sized, path: Path, name: str) -> bool:
    """Return True if a file holds no more than a comparison can handle; otherwise warn that it is not read."""
    if len(found) > MOST_OPTIONS:
        warnings.warn(f"{path}: has {len(found)} {name}; it is not read", stacklevel=2)
    return len(found) <= MOST_OPTIONS


@lru_cache(maxsize=4096)
def _read_options(text: str) -> dict[str, Any]:
    content = parsed_yaml(text)
    options = with_current_names(flatten(content)) if isinstance(content, dict) else {}
    return {f"{_OPTION}{printable(name)}": _shown(value) for name, value in options.items()}


def _in_parts(read: Callable[[str], Content], begin: re.Pattern[str], text: str) -> list[Content]:
    """Return what each part of a YAML text holds. The runs of a sweep have most parts in common, and `read` keeps them.

    Args:
        read: a function that keeps what it has returned.
        begin: where a part begins.
        text: the text.
    """
    try:
        return [read(part) for part in begin.split(text) if part]
    except yaml.YAMLError:  # not of our making: a text that goes over several lines, for example
        return [read(text)]


def _read_if_good(read: Callable[[], Content]) -> Content | None:
    """Return what a function reads from a file of a run, or None if the file is missing, damaged or refused.

    Warn of a file that is refused (`vae.runs.untrusted`).
    """
    try:
        return read()
    except RefusedFileError as error:
        warnings.warn(f"{error}; it is not read", stacklevel=2)
    except (OSError, yaml.YAMLError, ValueError, RecursionError):  # it may be nested a thousand times
        pass
    return None
