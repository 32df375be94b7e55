"""What a run writes down of each epoch."""

import time
from typing import Any

import keras
import numpy as np

from vae.training.non_finite import NotFiniteError
from vae.training.record import History, RunRecord
from vae.training.tensorboard import split_logs


class Quantities(keras.callbacks.Callback):
    """Adds what the model's metrics do not say: learning rate, beta, effective beta, temperature, steps per second.

    Args:
        scale: how many times the canonical KL the regularizer is.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()
        self._trained: float | None = None
        self._behind = int(self.model.batches_seen.numpy())

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stops the clock: validation is no training."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the quantities to the epoch's logs."""
        assert logs is not None
        beta = float(self.model.current_beta())
        if temperature := self.model.latent.schedule():
            logs["temperature"] = float(temperature(self.model.batches_seen))
        seconds = (self._trained or time.perf_counter()) - self._began
        logs |= {
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "beta": beta,
            "effective_beta": beta * self._scale,
            "steps_per_second": (int(self.model.batches_seen.numpy()) - self._behind) / seconds,
        }


class Recorder(keras.callbacks.Callback):
    """Keeps history.csv and summary.json up to date.

    Args:
        record: the run's summary.
        history: the run's history.
        steps_per_epoch: training steps in an epoch.

    Raises:
        NotFiniteError: when one of an epoch's figures is not finite; the row before it stays the last.
    """

    def __init__(self, record: RunRecord, history: History, steps_per_epoch: int) -> None:
        super().__init__()
        self._record = record
        self._history = history
        self._steps = steps_per_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock; a resumed run's summary says at once what its history says."""
        self._began = time.perf_counter() - self._history.seconds
        if self._history.rows:
            self._summarise()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the epoch."""
        figures = split_logs(logs or {})
        for name, value in figures["validation"].items():
            if not np.isfinite(value):
                advice = "try a smaller optimizer.learning_rate"
                raise NotFiniteError(f"validation/{name} became {value} in epoch {epoch + 1}; {advice}")
        row = {f"{split}/{name}": value for split, values in figures.items() for name, value in values.items()}
        seconds = round(time.perf_counter() - self._began, 3)
        self._history.append({"epoch": epoch + 1, "step": (epoch + 1) * self._steps, "seconds": seconds, **row})
        self._summarise()

    def _summarise(self) -> None:
        last = self._history.rows[-1]
        figures: dict[str, dict[str, float]] = {"train": {}, "validation": {}, "audit": {}}
        for column, value in last.items():
            split, slash, name = column.partition("/")
            if slash:
                figures[split][name] = value
        self._record.update(
            effective_beta=last["train/effective_beta"],
            epochs=last["epoch"],
            steps=last["step"],
            steps_per_second=float(np.median([row["train/steps_per_second"] for row in self._history.rows])),
            **figures,
        )
