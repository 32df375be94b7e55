"""Resources that a process holds after every run of a sweep: memory, open files, threads and Python objects."""

import gc
import json
import os
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

MEBIBYTE = 2**20


def held_by(process: int | str) -> dict[str, float]:
    """Return the resident set of a process in MiB, and the numbers of its open files and threads."""
    directory = Path("/proc") / str(process)
    pages = int((directory / "statm").read_text().split()[1])
    return {
        "mebibytes": pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE,
        "files": len([*(directory / "fd").iterdir()]),
        "threads": len([*(directory / "task").iterdir()]),
    }


class Footprint(Callback):
    """Appends what the process holds to a file, as a line of JSON, after every run of a sweep.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def on_job_end(self, **_: Any) -> None:
        """Append a line."""
        held = held_by("self")
        gc.collect()
        held["objects"] = len(gc.get_objects())
        with self._path.open("a") as file:
            file.write(json.dumps(held) + "\n")
