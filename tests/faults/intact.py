"""Checks that the files in a folder are whole. They read the files without the project's own code."""

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from matplotlib.image import imread
from numpy.typing import NDArray

from vae.runs import RunDirectory, Status, find_runs, read_summary


def _check_history(path: Path) -> None:
    with path.open(newline="") as file:
        widths = {len(row) for row in csv.reader(line for line in file if line.endswith("\n"))}
    assert len(widths) == 1, f"rows of {widths} cells"


def _check_archive(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


def _check_end(end: str) -> Callable[[Path], None]:
    def check(path: Path) -> None:
        assert path.read_text().rstrip().endswith(end), f"no {end}"

    return check


CHECKS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".yaml": lambda path: yaml.safe_load(path.read_text()),
    ".csv": _check_history,
    ".keras": _check_archive,
    ".png": imread,
    ".svg": _check_end("</svg>"),
    ".html": _check_end("</html>"),
}


def damages(folder: Path) -> list[str]:
    """A line for every file below a folder that is not whole. Temporary files, whose names are hidden, do not count."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith(".") and (check := CHECKS.get(path.suffix)):
            try:
                check(path)
            except FileNotFoundError:
                continue  # replaced in the meantime, by a process that was not killed
            except Exception as error:
                found.append(f"{path}: {type(error).__name__}: {error}")
    return found


def untrue_statuses(folder: Path) -> list[str]:
    """A line for every run below a folder that is said to be running, or cannot be told. No process may be left."""
    statuses = {run: read_summary(run).get("status", Status.DAMAGED) for run in find_runs(folder)}
    return [f"{run}: {status}" for run, status in statuses.items() if status in (Status.RUNNING, Status.DAMAGED)]


def weights_of(model: Path) -> dict[str, NDArray[Any]]:
    """The weights in a saved model by name, read without Keras."""
    weights: dict[str, NDArray[Any]] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            weights[name] = np.asarray(item)

    with zipfile.ZipFile(model) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(keep)
    return weights


def differences(run: Path, whole: Path) -> list[str]:
    """What a finished run has that differs from an undisturbed one, to the bit, but for seconds."""
    from tests.reading import untimed_history_of

    found = []
    left, right = (weights_of(RunDirectory(directory).model) for directory in (run, whole))
    if left.keys() != right.keys() or any(left[name].tobytes() != right[name].tobytes() for name in left):
        found.append(f"{run}: other weights")
    if untimed_history_of(run) != untimed_history_of(whole):
        found.append(f"{run}: another history")
    if (status := read_summary(run)["status"]) != Status.FINISHED:
        found.append(f"{run}: {status}")
    return found
