"""The summary of a run, `summary.json`: its status and the quantities of its last epoch."""

import os
from enum import StrEnum
from typing import Any

from vae.runs.files import read_json
from vae.runs.lock import is_locked
from vae.runs.paths import RunDirectory


class Status(StrEnum):
    """The status of a run."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"  # by Ctrl-C, SIGTERM or a lost worker, or its process was killed
    DIVERGED = "diverged"  # a quantity became NaN or infinite
    FAILED = "failed"
    DAMAGED = "damaged"  # never written: the summary cannot be read


def read_summary(directory: "str | os.PathLike[str]") -> dict[str, Any]:
    """Return the summary of a run, or an empty dictionary if it is missing or damaged.

    A process that is killed leaves the status "running" behind, and no lock: the status returned is "interrupted".
    """
    summary = read_json(RunDirectory(directory).summary)
    if summary.get("status") == Status.RUNNING and not is_locked(directory):
        summary |= {"status": str(Status.INTERRUPTED), "error": "its process died"}
    return summary


def is_finished(directory: "str | os.PathLike[str]") -> bool:
    """Return True if the directory holds a run that has finished."""
    return read_summary(directory).get("status") == Status.FINISHED
