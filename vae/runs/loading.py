"""Runs, finished or still running, complete or damaged, as one table."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from vae.errors import printable
from vae.runs.files import read_json
from vae.runs.history import read_history_columns
from vae.runs.identity import NOT_COMPARED, flatten, with_current_names
from vae.runs.paths import RunDirectory, runs_below
from vae.runs.summary import Status, read_summary
from vae.runs.untrusted import MOST_CHARACTERS, MOST_OPTIONS, RefusedFileError, read_yaml

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_SUMMARY = ("status", "seed", "kl", "effective_beta", "epochs", "steps", "steps_per_second", "engine", "error")


def load_runs(*paths: str | Path) -> "pd.DataFrame":
    """Return all runs in and below the folders as one tidy table, a row for each run and epoch.

    A run that is damaged or has not completed an epoch has one row without an epoch. Its `status` is that of
    summary.json, or "damaged" if that file cannot be read. A damaged file raises nothing.

    Args:
        paths: folders that are runs or have runs below them, at any depth.

    Returns:
        A table with the columns `run`, the run's directory; `status`, `seed`, `kl`, `effective_beta`, ... of its
        summary; `overrides`, those of its command line that make it another configuration, in their order;
        `option/...`, its composed configuration; `evaluation/...`, if it has been measured; `epoch`, `step`,
        `seconds`, and `train/...`, `validation/...` and `audit/...` of history.csv.

    Raises:
        UserError: if a folder does not exist or cannot be read, or none has a run.
    """
    directories = runs_below(*paths)
    import numpy as np
    import pandas as pd  # takes half a second: a mistake in a path has been reported

    facts = pd.DataFrame([_facts(directory) for directory in directories])
    histories = []
    for directory in directories:
        columns, rows = _history(directory)
        histories.append((columns, np.array(rows)))  # a quarter of the memory of the rows
    epochs = [max(len(rows), 1) for _, rows in histories]
    repeated = facts.take(np.repeat(np.arange(len(directories)), epochs)).reset_index(drop=True)
    joined = _joined(histories, epochs).drop(columns=["", *facts], errors="ignore")  # names only of a damaged file
    return pd.concat([repeated, joined], axis=1)


def _history(directory: RunDirectory) -> tuple[list[str], list[list[float]]]:
    try:
        return read_history_columns(directory.history)
    except RefusedFileError as error:
        warnings.warn(f"{error}; it is not read", stacklevel=2)
        return [], []


def _joined(histories: Sequence[tuple[list[str], "NDArray[np.float64]"]], epochs: Sequence[int]) -> "pd.DataFrame":
    """Return the histories below each other, each in so many rows; a history without an epoch is a row of NaN."""
    import numpy as np
    import pandas as pd

    names = list(dict.fromkeys(name for columns, rows in histories if len(rows) for name in columns))
    places = {name: place for place, name in enumerate(names)}
    values = np.full((len(names), sum(epochs)), np.nan)
    start = 0
    for (columns, rows), count in zip(histories, epochs, strict=True):
        if len(rows):
            values[[places[name] for name in columns], start : start + count] = rows.T
        start += count
    return pd.DataFrame(values.T, columns=names, copy=False)


def _facts(directory: RunDirectory) -> dict[str, Any]:
    summary = read_summary(directory)
    facts: dict[str, Any] = {"run": str(directory), "status": str(Status.DAMAGED)}
    facts |= {name: _shown(summary[name]) for name in _SUMMARY if isinstance(summary.get(name), str | int | float)}
    facts["overrides"] = _overrides(directory)
    facts |= {f"option/{name}": value for name, value in _options(directory).items()}
    evaluation = read_json(directory.evaluation)
    single = {name: _shown(value) for name, value in evaluation.items() if not isinstance(value, list)}
    return facts | {f"evaluation/{printable(name)}": value for name, value in single.items()}


def _shown(value: Any) -> Any:
    """Return a value of a file as a cell: text without control characters, and NaN for an integer that is no count."""
    if isinstance(value, int):
        return value if value.bit_length() < 64 else math.nan
    return value if isinstance(value, float | None) else printable(str(value))[:MOST_CHARACTERS]


def _overrides(directory: RunDirectory) -> tuple[str, ...]:
    """Return the overrides that make a run another configuration, without Hydra's leading + or ++."""
    content = _read_yaml(directory.overrides, directory)
    overrides = [str(_shown(str(override))).lstrip("+") for override in content] if isinstance(content, list) else []
    names = {override: override.partition("=")[0].lstrip("~") for override in overrides}
    return tuple(text for text, name in names.items() if name not in NOT_COMPARED and not name.startswith("hydra"))


def _options(directory: RunDirectory) -> dict[str, Any]:
    content = _read_yaml(directory.config, directory)
    try:
        options = with_current_names(flatten(content)) if isinstance(content, dict) else {}
    except RecursionError:  # it is nested a thousand times
        return {}
    if len(options) > MOST_OPTIONS:
        warnings.warn(f"{directory.config}: has {len(options)} options; it is not read", stacklevel=2)
        return {}
    return {printable(name): _shown(value) for name, value in options.items()}


def _read_yaml(path: Path, directory: RunDirectory) -> Any:
    try:
        return read_yaml(path, directory.path)
    except RefusedFileError as error:
        warnings.warn(f"{error}; it is not read", stacklevel=2)
        return None
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return None
