"""What a person sees while a run trains: a bar on a terminal, one line an epoch elsewhere."""

from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class ProgressBar(keras.callbacks.Callback):
    """Shows epoch, ELBO, reconstruction and KL (validation, nats) and the time left.

    Args:
        epochs: how many there are in all.
        calls_per_epoch: how often Keras calls `on_train_batch_end` in each.
        first_epoch: how many lie behind a resumed run.
    """

    def __init__(self, epochs: int, calls_per_epoch: int, first_epoch: int = 0) -> None:
        super().__init__()
        self._epochs = epochs
        self._calls = calls_per_epoch
        self._first_epoch = first_epoch
        self._console = Console()
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Shows the bar."""
        if self._console.is_terminal:
            self._bar.start()
            self._task = self._bar.add_task(
                "",
                total=self._epochs * self._calls,
                completed=self._first_epoch * self._calls,
                epoch=self._first_epoch + 1,
                epochs=self._epochs,
                figures="",
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the epoch."""
        if self._bar.live.is_started:
            self._bar.update(self._task, epoch=epoch + 1)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves the bar."""
        if self._bar.live.is_started:
            self._bar.advance(self._task)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows the epoch's figures."""
        logs = logs or {}
        figures = "  ".join(f"{label} {logs[f'val_{name}']:.2f}" for label, name in _FIGURES)
        if self._bar.live.is_started:
            self._bar.update(self._task, figures=figures)
        else:
            self._console.print(f"epoch {epoch + 1}/{self._epochs}  {figures}", highlight=False)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Leaves the bar as it is."""
        self.close()

    def close(self) -> None:
        """Gives the terminal back, however training ended."""
        if self._bar.live.is_started:
            self._bar.stop()


_FIGURES = (("ELBO", "elbo"), ("reconstruction", "reconstruction"), ("KL", "kl"))
