"""What a run says about itself: summary.json and history.csv."""

import csv
import platform
import shlex
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import keras
import tensorflow as tf

import vae
from vae.errors import UserError
from vae.files import replaced, write_json

INTERRUPTED_STATUS = 130  # what a shell shows after Ctrl-C


class NotFiniteError(UserError):
    """A quantity became NaN or infinite."""


class RunRecord:
    """Keeps summary.json: what the run is, how far it came and how it ended.

    A context manager around the whole run: its `status` is "running" inside, and after it "finished", "interrupted",
    "diverged" or "failed".

    Args:
        directory: the run's.
        facts: what does not change while the run goes on: seed, kl, ...
    """

    def __init__(self, directory: Path, **facts: Any) -> None:
        self.directory = directory
        self.summary: dict[str, Any] = {"status": "running", **facts, "versions": _versions()}

    def __enter__(self) -> Self:
        self._handler = signal.getsignal(signal.SIGTERM)
        self._handle_termination(signal.default_int_handler)  # as Ctrl-C
        self.update()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._handle_termination(self._handler)
        if error is None:
            self.update(status="finished")
        elif isinstance(error, KeyboardInterrupt):
            self.update(status="interrupted")
            print(
                f"\nInterrupted. To go on: python train.py resume={shlex.quote(str(self.directory))}", file=sys.stderr
            )
            sys.exit(INTERRUPTED_STATUS)
        elif isinstance(error, NotFiniteError):
            self.update(status="diverged", error=str(error))
        else:
            self.update(status="failed", error=f"{kind.__name__ if kind else 'Error'}: {error}")

    @staticmethod
    def _handle_termination(handler: Any) -> None:
        if threading.current_thread() is threading.main_thread():  # Python allows it nowhere else
            signal.signal(signal.SIGTERM, handler)

    def update(self, **facts: Any) -> None:
        """Writes summary.json anew, with these facts."""
        self.summary |= facts
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
                self.rows = [row for row in csv.DictReader(file) if int(row["epoch"]) <= epochs]

    @property
    def seconds(self) -> float:
        """How long the run had trained at the last row."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a row; the file is replaced as a whole, and so never half written."""
        self.rows.append(dict(row))
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        with replaced(self._path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows)


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "vae": vae.__version__,
    }
