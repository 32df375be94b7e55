"""The cores there are for processes, and work that several processes share. Needs no TensorFlow."""

import contextlib
import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Item]], list[Result]]


def available_cores() -> int:
    """Return the number of cores that this process may compute on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def begin(work: "Work[Item, Result]", items: Sequence[Item], fewest: int) -> Callable[[], list[Result]]:
    """Begin to work on items in other processes, and return a function that does the rest here and has all results.

    There are as many processes as cores, this one among them. Its share is half of another's, because it has something
    else to do in between. It also does the share of a process that cannot be started or is killed, and issues the
    warnings of all. If it is killed, the others end by themselves. They are spawned: a fork would copy locks that other
    threads hold.

    Args:
        work: returns a result for each of some items. It is a function of a module, or a partial one.
        items: the items.
        fewest: the number of items that a process is worth. With less than two such shares, all is done here.

    Returns:
        A function that returns the result for each item, in their order.
    """
    others = min(available_cores(), len(items) // fewest) - 1
    if others < 1:
        return lambda: work(items)
    count = len(items) // (2 * others + 1)
    shares = [items[count + number :: others] for number in range(others)]
    answers = [_answer(work, share) for share in shares]

    def results() -> list[Result]:
        found: list[Any] = [*work(items[:count]), *items[count:]]
        for number, (share, answer) in enumerate(zip(shares, answers, strict=True)):
            found[count + number :: others] = _received(answer) or work(share)
        return found

    return results


def _answer(work: "Work[Item, Result]", share: Sequence[Item]) -> Connection:
    """Start a process, and return the end of a pipe at which its results arrive."""
    context = multiprocessing.get_context("spawn")
    answer, sender = context.Pipe(duplex=False)
    with sender, contextlib.suppress(OSError):
        context.Process(target=_send, args=(work, share, sender), daemon=True).start()
    return answer


def _send(work: "Work[Item, Result]", share: Sequence[Item], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the first process alone says what Ctrl-C does
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = work(share)
    with contextlib.suppress(BrokenPipeError):  # the first process has ended
        sender.send((results, [warning.message for warning in caught]))


def _received(answer: Connection) -> list[Result] | None:
    """Return the results of a process, or None if it was killed, and issue its warnings."""
    with answer, contextlib.suppress(EOFError):
        results, messages = answer.recv()
        for message in messages:
            warnings.warn(message, stacklevel=3)
        return results
    return None
