"""Runs, finished or still going, whole or damaged, as one table."""

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from vae.errors import UserError
from vae.runs.files import read_json

#: Where things are, and how a run is computed: two runs that differ in these alone are of one configuration
NOT_COMPARED = {
    "data.dir",
    "data.manual_dir",
    "data.unpacked_dir",
    "metric",
    "resume",
    "seed",
    "trainer.threads",
    "trainer.chunk",
}
_SUMMARY = ("status", "seed", "kl", "effective_beta", "epochs", "steps", "steps_per_second", "engine", "error")
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_runs(*paths: str | Path) -> pd.DataFrame:
    """All runs below the folders, as one tidy table: a row for each run and epoch.

    A run that is damaged, or has no epoch behind it yet, has one row without an epoch; its `status` is what
    summary.json says, or "damaged" where that cannot be read. Nothing is raised for a single bad file.

    Args:
        paths: folders that are runs, or have runs below them at any depth.

    Returns:
        Columns: `run`, the run's directory; `status`, `seed`, `kl`, `effective_beta`, ... of its summary; `overrides`,
        those of its command line that make it another configuration, in their order; `option/...`, its composed
        configuration; `evaluation/...`, where it has been measured; `epoch`, `step`, `seconds`, and history.csv's
        `train/...`, `validation/...` and `audit/...`.

    Raises:
        UserError: where a folder does not exist, or no folder has a run.
    """
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(f"{path}: there is no such folder")
    found = {run.resolve(): run for path in paths for run in run_directories(Path(path))}
    directories = sorted(found.values())
    if not directories:
        raise UserError(f"{' '.join(map(str, paths))}: there is no run in it or below it; a run has a summary.json")
    return pd.DataFrame([row for directory in directories for row in _rows(directory)])


def run_directories(path: Path) -> Iterator[Path]:
    """The runs in a folder and below it."""
    for folder, children, files in os.walk(path):
        if "summary.json" in files or "history.csv" in files:
            children.clear()  # there is no run inside a run
            yield Path(folder)


def _rows(directory: Path) -> Iterable[dict[str, Any]]:
    summary = read_json(directory / "summary.json")
    facts: dict[str, Any] = {"run": str(directory), "status": "damaged"}
    facts |= {name: summary[name] for name in _SUMMARY if isinstance(summary.get(name), str | int | float)}
    facts["overrides"] = _overrides(directory)
    facts |= {f"option/{name}": value for name, value in _options(directory).items()}
    measured = read_json(directory / "evaluation.json")
    facts |= {f"evaluation/{name}": value for name, value in measured.items() if not isinstance(value, list)}
    epochs = _history(directory / "history.csv")
    return [{**facts, **epoch} for epoch in epochs] or [facts]


def _yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _YAML)  # a safe loader
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return None


def _overrides(directory: Path) -> tuple[str, ...]:
    given = _yaml(directory / ".hydra" / "overrides.yaml")
    overrides = [str(override) for override in given] if isinstance(given, list) else []
    names = {override: override.partition("=")[0].lstrip("+~") for override in overrides}
    return tuple(text for text, name in names.items() if name not in NOT_COMPARED and not name.startswith("hydra"))


def _options(directory: Path) -> dict[str, Any]:
    config = _yaml(directory / ".hydra" / "config.yaml")
    return dict(_leaves(config)) if isinstance(config, dict) else {}


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value) if isinstance(value, list | dict) else value


def _history(path: Path) -> list[dict[str, Any]]:
    """The rows of a history; a last one that is half written is left out."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                {name: _number(value) for name, value in row.items() if name and value is not None}
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
