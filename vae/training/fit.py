"""Training: Keras's own `fit`, with everything that a run records."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from vae.data import ImageSource, evaluation_batches, training_batches
from vae.kl import KLRegularizer
from vae.model import VAE
from vae.noise import Stream
from vae.training.audit import Audit
from vae.training.checkpoints import Checkpoints
from vae.training.engine import chosen_engine, compiled_train_function, training_chunks
from vae.training.progress import ProgressBar
from vae.training.record import History, RunRecord
from vae.training.recorder import Quantities, Recorder
from vae.training.tensorboard import TensorBoardLog

SCALE_TOLERANCE = 0.05


def fit(
    model: VAE,
    source: ImageSource,
    record: RunRecord,
    *,
    epochs: int,
    batch_size: int,
    binarization: str,
    engine: str = "auto",
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
        engine: "compiled", "keras" or "auto" (`vae.training.engine`).
        first_epoch: how many of the epochs a resumed run has behind it.
        audit: the regularizers to audit, by name.
        callbacks: further ones.
        options: the configuration's options by name, for HParams.
        configuration: the composed configuration as YAML.

    Raises:
        NotFiniteError: when a quantity becomes NaN or infinite.
    """
    batch_size = min(batch_size, len(source.train))
    steps = math.ceil(len(source.train) / batch_size)
    engine = chosen_engine(engine, model)
    if engine == "compiled":
        training, calls = training_chunks(len(source.train), batch_size, model.seed, first_epoch)
        model.optimizer.build(model.trainable_variables)
        model.train_function = compiled_train_function(model, source.train, binarization)
    else:
        training, calls = training_batches(source.train, batch_size, binarization, model.seed, first_epoch), steps
    validation = evaluation_batches(
        source.validation, batch_size, binarization, model.seed, Stream.VALIDATION_BINARIZATION
    )
    shown = next(iter(validation))
    scale = model.regularizer_scale(batch_size)
    warn_of_scale(model, scale, batch_size)
    record.update(engine=engine)
    history = History(record.directory / "history.csv", first_epoch)
    progress = ProgressBar(epochs, calls, first_epoch)
    try:
        model.fit(
            training,
            epochs=epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=calls,
            shuffle=False,  # what comes is shuffled, by seed and epoch
            validation_data=validation,
            verbose=0,
            callbacks=[
                Quantities(scale, steps),
                Audit({**audit, "trained": model.kl} if audit else {}, shown),
                Recorder(record, history, steps),
                TensorBoardLog(record.directory / "tensorboard", shown, epochs, options, configuration, first_epoch),
                Checkpoints(record.directory / "checkpoints"),
                progress,
                *callbacks,
            ],
        )
    finally:
        model.train_function = None  # Keras makes its own where the model is trained further
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
