"""A callback that interrupts its own process at a known step."""

import os
import signal
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
