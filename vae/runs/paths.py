"""Paths of the files of a run."""

import os
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from vae.errors import UserError, printable
from vae.named_paths import is_folder
from vae.runs.untrusted import MOST_LEVELS, is_deepest


class RunDirectory:
    """The directory of a run, and the paths of the files in it.

    Args:
        path: the directory. It need not exist.
    """

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        self.path = Path(path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"RunDirectory({str(self.path)!r})"

    @cached_property
    def summary(self) -> Path:
        """Status, versions and the quantities of the last epoch, as JSON."""
        return self.path / "summary.json"

    @cached_property
    def history(self) -> Path:
        """One row for each epoch, as CSV."""
        return self.path / "history.csv"

    @cached_property
    def evaluation(self) -> Path:
        """The quantities that `evaluate.py` measured, as JSON."""
        return self.path / "evaluation.json"

    @cached_property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model.keras"

    @cached_property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @cached_property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @cached_property
    def hydra(self) -> Path:
        """Folder of the files that Hydra writes."""
        return self.path / ".hydra"

    @cached_property
    def config(self) -> Path:
        """The composed configuration, as YAML."""
        return self.hydra / "config.yaml"

    @cached_property
    def overrides(self) -> Path:
        """The overrides of the command line, as a YAML list."""
        return self.hydra / "overrides.yaml"

    @cached_property
    def reconstructions(self) -> Path:
        """Picture of images above their reconstructions."""
        return self.path / "reconstructions.png"

    @cached_property
    def samples(self) -> Path:
        """Picture of samples from the prior."""
        return self.path / "samples.png"


def find_runs(path: str | Path) -> Iterator[RunDirectory]:
    """Yield the runs in a folder and below it. A run has a summary or a history.

    A folder that lies deeper than any of a sweep is not searched, with a warning.

    Raises:
        UserError: if a folder cannot be read, whose runs would be missing without notice.
    """
    for folder, children, files in os.walk(path, onerror=_refuse):
        directory = RunDirectory(folder)
        if directory.summary.name in files or directory.history.name in files:
            children.clear()  # runs do not nest
            yield directory
        elif children and is_deepest(folder, path):
            children.clear()
            warnings.warn(f"{folder}: has folders more than {MOST_LEVELS} deep; they are not searched", stacklevel=2)


def _refuse(error: OSError) -> None:
    """Raise a UserError, unless the folder has been removed in the meantime or is none."""
    if isinstance(error, PermissionError):
        raise UserError(f"{error.filename}: {error.strerror}; must be readable, or lie elsewhere") from error


def runs_below(*paths: str | Path) -> list[RunDirectory]:
    """Return the runs in and below several folders, each once, in the order of their paths.

    One whose path is not valid UTF-8 is left out with a warning: no table or page can hold its name.

    Raises:
        UserError: if a folder does not exist or cannot be read, or none has a run.
    """
    for path in map(Path, paths):
        if not is_folder(path):
            raise UserError(f"{path}: no such folder")
    runs = [run for path in paths for run in find_runs(path) if _has_text_name(run)]
    found = {run.path.resolve() if len(paths) > 1 else run.path: run for run in runs}  # one folder has each run once
    if not found:
        raise UserError(f"{' '.join(map(str, paths))}: no run in this folder or below it; a run has a summary.json")
    return sorted(found.values(), key=lambda run: run.path)


def _has_text_name(run: RunDirectory) -> bool:
    try:
        str(run).encode()
    except UnicodeEncodeError:
        warnings.warn(f"{printable(str(run))}: is not compared; its name must be valid UTF-8", stacklevel=3)
        return False
    return True
