"""The progress of a run: a bar on a terminal, one line an epoch elsewhere."""

from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_QUANTITIES = (("ELBO", "elbo"), ("reconstruction", "reconstruction"), ("KL", "kl"))


class ProgressBar(keras.callbacks.Callback):
    """Shows the epoch, the validation split's ELBO, reconstruction and KL in nats, and the time left."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console()
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("{task.fields[quantities]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the bar at the first epoch, and show the epoch's number."""
        epochs, calls = self.params["epochs"], self.params["steps"]
        if self._console.is_terminal and not self._bar.tasks:
            self._bar.start()
            self._bar.add_task(
                "", total=epochs * calls, completed=epoch * calls, epoch=epoch, epochs=epochs, quantities=""
            )
        if self._bar.live.is_started:
            self._bar.update(self._bar.tasks[0].id, epoch=epoch + 1)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance the bar by one call."""
        if self._bar.live.is_started:
            self._bar.advance(self._bar.tasks[0].id)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show the quantities of the epoch."""
        logs = logs or {}
        quantities = "  ".join(f"{label} {logs[f'val_{name}']:.2f}" for label, name in _QUANTITIES)
        if self._bar.live.is_started:
            self._bar.update(self._bar.tasks[0].id, quantities=quantities)
        else:
            self._console.print(f"epoch {epoch + 1}/{self.params['epochs']}  {quantities}", highlight=False)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Stop the bar and leave it on the screen."""
        self.close()

    def close(self) -> None:
        """Give the terminal back; after an error Keras calls no callback."""
        if self._bar.live.is_started:
            self._bar.stop()
