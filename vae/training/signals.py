"""Ctrl-C and SIGTERM, heard where training can stop without losing anything."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Inside, SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    with _handled({signal.SIGTERM: signal.default_int_handler}):
        yield


@contextlib.contextmanager
def on_request() -> Iterator[Callable[[], bool]]:
    """Inside, the first signal is a request, which the function that comes says; a second one stops at once.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    requests = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal requests
        requests += 1
        if requests > 1:
            raise KeyboardInterrupt
        print("\nstopping after this chunk of steps; once more stops at once", file=sys.stderr)

    with _handled(dict.fromkeys(SIGNALS, handle)):
        yield lambda: requests > 0


@contextlib.contextmanager
def _handled(handlers: dict[signal.Signals, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python allows it nowhere else
        yield
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
