"""Ctrl-C and SIGTERM, handled at points at which training can stop without a loss."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt inside, as Ctrl-C does."""
    with _handlers({signal.SIGTERM: signal.default_int_handler}):
        yield


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Take the first signal inside as a request to stop; a second one stops at once.

    Yields:
        A function that returns True once a stop was requested.

    Raises:
        KeyboardInterrupt: at the second signal.
    """
    requests = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal requests
        requests += 1
        if requests > 1:
            raise KeyboardInterrupt
        print("\nstopping after this chunk of steps; a second signal stops at once", file=sys.stderr)

    with _handlers(dict.fromkeys(SIGNALS, handle)):
        yield lambda: requests > 0


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
