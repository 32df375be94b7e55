"""Work for tests/test_processes.py, in a module that the processes load at once."""

import os
import signal
import time
import warnings
from collections.abc import Sequence
from pathlib import Path


def squares(items: Sequence[int]) -> list[tuple[int, int]]:
    """The square of each item, with the process that computed it."""
    return [(item**2, os.getpid()) for item in items]


def warned_squares(items: Sequence[int]) -> list[int]:
    """Warn of each round item."""
    for item in items:
        if item % 10 == 0:
            warnings.warn(f"{item} is round", stacklevel=2)
    return [item**2 for item in items]


def killed_elsewhere(first: int, items: Sequence[int]) -> list[int]:
    """End any process but the first one."""
    if os.getpid() != first:
        os.kill(os.getpid(), signal.SIGKILL)
    return [item**2 for item in items]


def failing_at_seven(items: Sequence[int]) -> list[int]:
    """Raise an error in the process that has the item 7."""
    if 7 in items:
        raise KeyError("seven")
    return [*items]


def leaving_a_trace(folder: Path, first: int, items: Sequence[int]) -> list[int]:
    """Leave a file for any process but the first one."""
    if os.getpid() != first:
        (folder / str(os.getpid())).touch()
    return [*items]


def until_alone(folder: Path, first: int, items: Sequence[int]) -> list[str]:
    """Wait in another process until the first one has ended, and return more than a pipe holds."""
    if os.getpid() != first:
        (folder / str(os.getpid())).touch()
        while os.getppid() == first:
            time.sleep(0.01)
    else:
        time.sleep(600)
    return ["x" * 1000] * len(items)
