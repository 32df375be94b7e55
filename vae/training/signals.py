"""Ctrl-C and SIGTERM, handled at points at which training can stop without a loss."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_was_interrupted = False  # by a signal that raised KeyboardInterrupt, and as far as known stopped nothing


def interrupt_on_signals() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt in this process, and be remembered.

    A background job of a script ignores Ctrl-C, and goes on ignoring it.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = _report_unraisable


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt inside, as Ctrl-C does, and be remembered."""
    global _was_interrupted
    with _handlers({signal.SIGTERM: _interrupt}):
        try:
            yield
        except KeyboardInterrupt:
            _was_interrupted = False  # it did stop something
            raise


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Take the first signal inside as a request to stop; a second one stops at once.

    A signal that raised KeyboardInterrupt before, and yet stopped nothing, is a request as well: Python ignores what
    is raised in a destructor, and libraries have `except` clauses that catch everything.

    Yields:
        A function that returns True once a stop was requested.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    global _was_interrupted
    requests = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal requests
        requests += 1
        if requests > 1:
            raise KeyboardInterrupt
        print("\nstopping after this chunk of steps; a second signal stops at once", file=sys.stderr)

    with _handlers(dict.fromkeys(SIGNALS, handle)):
        requests += _was_interrupted
        _was_interrupted = False
        yield lambda: requests > 0


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    global _was_interrupted
    _was_interrupted = True
    raise KeyboardInterrupt


def _report_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Print that an interruption stopped nothing, in a line, and any other ignored exception as Python does."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        print("\nthis signal came where Python cannot stop; a second one stops at once", file=sys.stderr)
    else:
        sys.__unraisablehook__(unraisable)


@contextlib.contextmanager
def _handlers(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers nowhere else
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
