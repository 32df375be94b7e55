"""The cores and the memory there are for processes, and work that several processes share. Needs no TensorFlow."""

import contextlib
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], list[Result]]


def available_cores() -> int:
    """Return the number of cores that this process may compute on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def begin(work: "Work[Item, Result]", items: Sequence[Item], fewest: int) -> Callable[[], list[Result]]:
    """Begin to work on items in other processes, and return a function that does the rest here and has all results.

    There are as many processes as cores, this one among them. Its share is half of another's, because it has something
    else to do in between. It also does the share of a process that cannot be started or is killed, and issues the
    warnings of all. If it is killed, the others end by themselves. They are forked: a process that starts anew would
    look for modules in the current folder. A fork would copy the locks that other threads hold, so that a process of
    several threads does everything itself.

    Args:
        work: returns a result for each of some items.
        items: the items.
        fewest: the number of items that a process is worth. With less than two such shares, all is done here.

    Returns:
        A function that returns the result for each item, in their order.
    """
    others = min(available_cores(), len(items) // fewest) - 1
    if others < 1 or not _has_one_thread():
        return lambda: work(items)
    count = len(items) // (2 * others + 1)
    shares = [items[count + number :: others] for number in range(others)]
    answers = _answers(work, shares)

    def results() -> list[Result]:
        found: list[Any] = [*work(items[:count]), *items[count:]]
        for number, (share, answer) in enumerate(zip(shares, answers, strict=True)):
            found[count + number :: others] = _received(answer) or work(share)
        return found

    return results


def _has_one_thread() -> bool:
    """Return True if this process has no thread but one; False if that cannot be told, as outside of Linux."""
    try:
        return len([*Path("/proc/self/task").iterdir()]) == 1
    except OSError:
        return False


def _answers(work: "Work[Item, Result]", shares: Sequence[Sequence[Item]]) -> list[Connection]:
    """Start a process for each share, and return the ends of pipes at which the results arrive."""
    context = multiprocessing.get_context("fork")
    answers: list[Connection] = []
    for share in shares:
        answer, sender = context.Pipe(duplex=False)
        answers.append(answer)
        with sender, contextlib.suppress(OSError):
            context.Process(target=_send, args=(work, share, sender, answers), daemon=True).start()
    return answers


def _send(work: "Work[Item, Result]", share: Sequence[Item], sender: Connection, answers: Sequence[Connection]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the first process alone says what Ctrl-C does
    for answer in answers:
        answer.close()  # or the pipe would stay open when the first process has ended
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = work(share)
    with contextlib.suppress(BrokenPipeError):  # the first process has ended
        sender.send((results, [warning.message for warning in caught]))


def _received(answer: Connection) -> list[Result] | None:
    """Return the results of a process, or None if it was killed, and issue its warnings."""
    with answer:
        try:
            results, messages = answer.recv()
        except (EOFError, OSError):  # killed before it sent anything, or while it did
            return None
    for message in messages:
        warnings.warn(message, stacklevel=3)
    return results
