"""What a run says about itself: summary.json and history.csv."""

import contextlib
import csv
import errno
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import keras
import tensorflow as tf

import vae
from vae.distributed.strategies import WorkerLostError
from vae.errors import UserError
from vae.runs.files import replaced, write_json
from vae.training.non_finite import NotFiniteError
from vae.training.signals import at_once

INTERRUPTED_STATUS = 130  # what a shell shows after Ctrl-C


class RunRecord:
    """Keeps summary.json: what the run is, how far it came and how it ended.

    A context manager around the whole run: its `status` is "running" inside, and after it "finished", "interrupted",
    "diverged" or "failed".

    Args:
        directory: the run's.
        writes: whether anything is written; not by a worker that is not the chief.
        facts: what does not change while the run goes on: seed, kl, ...
    """

    def __init__(self, directory: Path, writes: bool = True, **facts: Any) -> None:
        self.directory = directory
        self.writes = writes
        self.summary: dict[str, Any] = {"status": "running", **facts, "versions": _versions()}

    def __enter__(self) -> Self:
        self._interruption = at_once()
        self._interruption.__enter__()
        self.update()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._interruption.__exit__(kind, error, traceback)
        if error is None:
            self.update(status="finished")
        elif isinstance(error, KeyboardInterrupt):
            self.update(status="interrupted")
            print(f"\nInterrupted. To go on: {self._resume_command}", file=sys.stderr)
            sys.exit(INTERRUPTED_STATUS)
        elif isinstance(error, WorkerLostError):
            self.update(status="interrupted", error=str(error))
            raise UserError(f"{error}. To go on, on all workers: {self._resume_command}") from error
        elif isinstance(error, NotFiniteError):
            self.update(status="diverged", error=str(error), **error.facts)
        elif problem := _disk_problem(error):
            with contextlib.suppress(OSError):
                self.update(status="failed", error=problem)
            raise UserError(
                f"{self.directory}: cannot be written ({problem}); what was saved is whole. To go on, "
                f"once that is mended: {self._resume_command}"
            ) from error
        else:
            self.update(status="failed", error=f"{kind.__name__ if kind else 'Error'}: {error}")

    @property
    def _resume_command(self) -> str:
        return f"python train.py resume={shlex.quote(str(self.directory)) if self.writes else 'RUN_DIR'}"

    def figures(self, metric: str | Sequence[str]) -> float | list[float]:
        """A figure of the validation split after the last epoch, by its name; or several."""
        validation = self.summary["validation"]
        return validation[metric] if isinstance(metric, str) else [validation[name] for name in metric]

    def update(self, **facts: Any) -> None:
        """Writes summary.json anew, with these facts."""
        self.summary |= facts
        if self.writes:
            write_json(self.directory / "summary.json", self.summary)


class History:
    """history.csv: a row per epoch.

    Args:
        path: the file.
        epochs: how many of its rows to keep, where it exists: those before the epoch a resumed run starts at.
    """

    def __init__(self, path: Path, epochs: int = 0) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []
        if epochs:
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))[:epochs]
            self.rows = [{name: float(value) for name, value in row.items() if value} for row in rows]
            for row in self.rows:
                row |= {name: int(row[name]) for name in ("epoch", "step")}
        self._columns = list(dict.fromkeys(name for row in self.rows for name in row))
        self._rewrite()

    @property
    def seconds(self) -> float:
        """How long the run had trained at the last row."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row, in one write; where it brings new columns, the file is replaced as a whole."""
        self.rows.append(dict(row))
        new = [name for name in row if name not in self._columns]
        self._columns += new
        if new:
            self._rewrite()
        else:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns).writerow(row)

    def _rewrite(self) -> None:
        if self.rows:
            with replaced(self._path) as temporary, temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, self._columns)
                writer.writeheader()
                writer.writerows(self.rows)


def _disk_problem(error: BaseException) -> str | None:
    """What the file system refused, where that is what an exception says."""
    if isinstance(error, OSError) and error.errno in _DISK_PROBLEMS:
        return error.strerror
    if isinstance(error, tf.errors.OpError):  # TensorBoard's writer
        return next((words for words in map(os.strerror, _DISK_PROBLEMS) if words in error.message), None)
    return None


_DISK_PROBLEMS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "vae": vae.__version__,
    }
