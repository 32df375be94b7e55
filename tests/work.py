"""Work that processes share, in a process that has loaded little: python -m tests.work FUNCTION ITEMS [FOLDER].

It prints the results of three processes as JSON, after the number of its own process.
"""

import contextlib
import json
import os
import signal
import stat
import sys
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from vae import processes


def squares(items: Sequence[int]) -> list[tuple[int, int]]:
    """The square of each item, with the process that computed it."""
    return [(item**2, os.getpid()) for item in items]


def warned(items: Sequence[int]) -> list[int]:
    """Warn of each round item."""
    for item in items:
        if item % 10 == 0:
            warnings.warn(f"{item} is round", stacklevel=2)
    return [*items]


def killed_elsewhere(items: Sequence[int], first: int = os.getpid()) -> list[tuple[int, int]]:
    """End any process but the first one."""
    if os.getpid() != first:
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(items)


def killed_while_it_sends(items: Sequence[int], first: int = os.getpid()) -> list[Any]:
    """End any process but the first one while its results are on the way."""
    if os.getpid() != first:
        half_sent = (len(items) * 10**6).to_bytes(4, "big") + b"x"  # the length of a message, and little of it
        for descriptor in range(3, 64):
            with contextlib.suppress(OSError):
                if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                    os.write(descriptor, half_sent)
        os.kill(os.getpid(), signal.SIGKILL)
    return squares(items)


def failing_at_seven(items: Sequence[int]) -> list[int]:
    """Raise an error in the process that has the item 7."""
    if 7 in items:
        raise KeyError("seven")
    return [*items]


def until_alone(items: Sequence[int], folder: Path, first: int = os.getpid()) -> list[str]:
    """Wait in another process until the first one has ended, and return more than a pipe holds."""
    if os.getpid() != first:
        (folder / str(os.getpid())).touch()
        while os.getppid() == first:
            time.sleep(0.01)
    else:
        time.sleep(600)
    return ["x" * 1000] * len(items)


def main(name: str, count: int, folder: Path | None = None) -> None:
    """Print the results of a function of this module for the first numbers."""
    work: Any = globals()[name]
    with mock.patch.object(processes, "available_cores", return_value=3):
        results = processes.begin(partial(work, folder=folder) if folder else work, range(count), 3)()
    print(json.dumps([os.getpid(), results]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(Path, sys.argv[3:]))
