"""Callbacks that interrupt their own process: at a known step, or where the interruption stops nothing."""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import keras


class InterruptOnce(keras.callbacks.Callback):
    """Sends SIGTERM to its process in the midst of an epoch, unless a file exists; then creates the file.

    Args:
        file: the file.
        epoch: the epoch, counted from 0.
        call: the call of the compiled program within the epoch, counted from 0.
    """

    def __init__(self, file: str, epoch: int, call: int) -> None:
        super().__init__()
        self.file = file
        self.epoch = epoch
        self.call = call

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._armed = epoch == self.epoch and not Path(self.file).exists()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._armed and batch == self.call:
            Path(self.file).touch()
            os.kill(os.getpid(), signal.SIGTERM)


class InterruptInVain(keras.callbacks.Callback):
    """Sends SIGTERM to its process before training begins, where what a handler raises has no effect.

    Args:
        place: "destructor" or "clause", for an `except` clause that catches everything.
    """

    def __init__(self, place: str) -> None:
        super().__init__()
        if place == "destructor":
            _Interrupting()
        else:
            with contextlib.suppress(BaseException):
                _interrupt()


class _Interrupting:
    def __del__(self) -> None:
        _interrupt()


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    while True:  # until the handler raises
        time.sleep(0.01)
