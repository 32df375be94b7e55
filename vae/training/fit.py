"""Training: Keras's own `fit`, with everything that a run records."""

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from vae.data import ImageSource, evaluation_batches, training_batches
from vae.kl import KLRegularizer
from vae.model import VAE
from vae.noise import Stream
from vae.training.audit import Audit
from vae.training.checkpoints import Checkpoints
from vae.training.progress import ProgressBar
from vae.training.record import Diverged, History, RunRecord
from vae.training.tensorboard import TensorBoardLog, split_logs

SCALE_TOLERANCE = 0.05


def fit(
    model: VAE,
    source: ImageSource,
    record: RunRecord,
    *,
    epochs: int,
    batch_size: int,
    binarization: str,
    first_epoch: int = 0,
    audit: Mapping[str, KLRegularizer],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    options: Mapping[str, Any],
    configuration: str,
) -> None:
    """Trains a compiled model and keeps the run's directory up to date.

    Args:
        model: the compiled model.
        source: the images.
        record: the run's.
        epochs: how many in all.
        batch_size: images a step.
        binarization: "none", "threshold" or "dynamic".
        first_epoch: how many of the epochs a resumed run has behind it.
        audit: the regularizers to audit, by name.
        callbacks: further ones.
        options: the configuration's options by name, for HParams.
        configuration: the composed configuration as YAML.

    Raises:
        Diverged: when a quantity becomes NaN or infinite.
    """
    batches, steps = training_batches(source.train, batch_size, binarization, model.seed, first_epoch)
    validation = evaluation_batches(
        source.validation, batch_size, binarization, model.seed, Stream.VALIDATION_BINARIZATION
    )
    shown = next(iter(validation))
    scale = model.regularizer_scale(min(batch_size, len(source.train)))
    warn_of_scale(model, scale, min(batch_size, len(source.train)))
    history = History(record.directory / "history.csv", first_epoch)
    progress = ProgressBar(epochs, steps, first_epoch)
    try:
        model.fit(
            batches,
            epochs=epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=steps,
            shuffle=False,  # the batches are shuffled, by seed and epoch
            validation_data=validation,
            verbose=0,
            callbacks=[
                Quantities(scale, steps),
                Audit({**audit, "trained": model.kl} if audit else {}, shown),
                Recorder(record, history, steps),
                TensorBoardLog(record.directory / "tensorboard", shown, epochs, options, configuration),
                Checkpoints(record.directory / "checkpoints"),
                progress,
                *callbacks,
            ],
        )
    finally:
        progress.close()


def warn_of_scale(model: VAE, scale: float, batch_size: int) -> None:
    """One warning where effective beta is far from beta: by which factor, why, and what would make it canonical."""
    if abs(scale - 1.0) > SCALE_TOLERANCE:
        beta = float(model.beta.numpy())
        warnings.warn(
            f"effective beta is {beta * scale:.4g}, not {beta:.4g}: the regularizer is {scale:.4g} times the canonical "
            f"KL. {model.kl.explain_scale(batch_size, model.latent.size)}",
            stacklevel=2,
        )


class Quantities(keras.callbacks.Callback):
    """Adds what the model's metrics do not say: learning rate, beta, effective beta, steps per second.

    Args:
        scale: how many times the canonical KL the regularizer is.
        steps_per_epoch: training steps in an epoch.

    Raises:
        Diverged: when an epoch's figures are not finite.
    """

    def __init__(self, scale: float, steps_per_epoch: int) -> None:
        super().__init__()
        self._scale = scale
        self._steps = steps_per_epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._began = time.perf_counter()
        self._trained = None

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Stops the clock: validation is no training."""
        self._trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the quantities to the epoch's logs."""
        assert logs is not None
        beta = float(self.model.beta.numpy())
        seconds = (self._trained or time.perf_counter()) - self._began
        logs |= {
            "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
            "beta": beta,
            "effective_beta": beta * self._scale,
            "steps_per_second": self._steps / seconds,
        }


class Recorder(keras.callbacks.Callback):
    """Keeps history.csv and summary.json up to date.

    Args:
        record: the run's summary.
        history: the run's history.
        steps_per_epoch: training steps in an epoch.

    Raises:
        Diverged: when one of an epoch's figures is not finite; the row before it stays the last.
    """

    def __init__(self, record: RunRecord, history: History, steps_per_epoch: int) -> None:
        super().__init__()
        self._record = record
        self._history = history
        self._steps = steps_per_epoch

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self._began = time.perf_counter() - self._history.seconds

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the epoch."""
        figures = split_logs(logs or {})
        for split, values in figures.items():
            for name, value in values.items():
                if not np.isfinite(value):
                    raise Diverged(f"{split}/{name} became {value} in epoch {epoch + 1}; try a smaller learning rate")
        row = {f"{split}/{name}": value for split, values in figures.items() for name, value in values.items()}
        seconds = round(time.perf_counter() - self._began, 3)
        self._history.append({"epoch": epoch + 1, "step": (epoch + 1) * self._steps, "seconds": seconds, **row})
        rates = [float(row["train/steps_per_second"]) for row in self._history.rows]
        self._record.update(
            effective_beta=figures["train"]["effective_beta"],
            epochs=epoch + 1,
            steps=(epoch + 1) * self._steps,
            steps_per_second=float(np.median(rates)),
            **figures,
        )
