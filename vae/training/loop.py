"""Training: Keras's own `fit`, with everything that a run records."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from vae.data import LONGEST_CHUNK, ImageSource, evaluation_batches, evaluation_chunks, training_chunks
from vae.errors import UserError
from vae.evaluation.pictures import save_figures
from vae.kl import KLRegularizer
from vae.model import VAE
from vae.random import Stream
from vae.training.audit import TRAINED, Audit
from vae.training.checkpoints import Checkpoints, Progress
from vae.training.engine import chosen_engine, test_function, train_function
from vae.training.non_finite import NotFiniteError
from vae.training.progress_bar import ProgressBar
from vae.training.record import EpochRecorder, OptimizationQuantities, RunRecord
from vae.training.signals import on_request
from vae.training.tensorboard import POINTS, TensorBoardLog

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
    strategy: tf.distribute.Strategy | None = None,
    chunk: int = LONGEST_CHUNK,
    progress: Progress | None = None,
    audit: Mapping[str, KLRegularizer],
    callbacks: Sequence[keras.callbacks.Callback] = (),
    options: Mapping[str, Any],
    configuration: str,
) -> None:
    """Trains a compiled model and keeps the run's directory up to date.

    Args:
        model: the compiled model.
        source: the images.
        record: the run's; where it does not write, nothing else does either.
        epochs: how many in all.
        batch_size: images a step.
        binarization: "none", "threshold" or "dynamic".
        engine: "compiled", "keras" or "auto" (`vae.training.engine`).
        strategy: between whose replicas every batch is divided (`vae.distributed.strategies`).
        chunk: how many steps one call of the compiled program has at most.
        progress: where a resumed run goes on.
        audit: the regularizers to audit, by name.
        callbacks: further ones.
        options: the configuration's options by name, for HParams.
        configuration: the composed configuration as YAML.

    Raises:
        UserError: where images are weighed under a strategy.
        NotFiniteError: when a quantity becomes NaN or infinite.
        WorkerLostError: when another worker is gone.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once all is saved.
    """
    batch_size = min(batch_size, len(source.train))
    steps = math.ceil(len(source.train) / batch_size)
    progress = progress or Progress()
    first_epoch = progress.steps // steps
    if strategy is not None and source.weights is not None:
        raise UserError("data.weights: only trainer.strategy=single weighs examples")
    engine = chosen_engine(engine, model)
    compiled = engine == "compiled"
    training, calls = training_chunks(
        source.train, batch_size, model.seed, chunk if compiled else 1, progress.steps, source.weights
    )
    evaluated = (source.validation, batch_size, binarization, model.seed, Stream.VALIDATION_BINARIZATION)
    shown = list(evaluation_batches(*evaluated).take(max(1, POINTS // batch_size)))
    scale = model.regularizer_scale(batch_size)
    warn_of_scale(model, scale, batch_size)
    record.update(engine=engine)
    bar = ProgressBar(epochs, calls, first_epoch)
    auditing = Audit({**audit, TRAINED: model.kl} if audit else {}, shown[0])
    kept: list[keras.callbacks.Callback] = []
    if record.writes:
        labels = source.labels("validation", sum(map(len, shown)))
        kept = [
            EpochRecorder(record),
            TensorBoardLog(record.directory.tensorboard, shown, labels, options, configuration),
            bar,
        ]
    checkpoints = record.directory.checkpoints if record.writes else None
    if not model.optimizer.built:  # a second time would reset a LossScaleOptimizer
        model.optimizer.build(model.trainable_variables)
    model.train_function = train_function(model, binarization, compiled=compiled, strategy=strategy)
    model.test_function = test_function(model, compiled=compiled)
    try:
        with on_request() as interrupted:
            saving = Checkpoints(checkpoints, callbacks, steps, interrupted, progress)
            try:
                model.fit(
                    training,
                    epochs=first_epoch if progress.stopped else epochs,
                    initial_epoch=first_epoch,
                    steps_per_epoch=calls,
                    shuffle=False,  # what comes is shuffled, by seed and epoch
                    validation_data=evaluation_chunks(*evaluated, longest=chunk),
                    verbose=0,
                    callbacks=[OptimizationQuantities(scale), auditing, *kept, *callbacks, saving],
                )
            except NotFiniteError:
                saving.save_in_the_midst()  # the model as it was before that step
                raise
    finally:
        model.train_function = model.test_function = None  # Keras makes its own where the model is used further
        bar.close()
    if record.writes:
        save_figures(model, shown[0], record.directory.path, model.seed)


def warn_of_scale(model: VAE, scale: float, batch_size: int) -> None:
    """One warning where effective beta is far from beta: by which factor, why, and what would make it canonical."""
    if abs(scale - 1.0) > SCALE_TOLERANCE:
        beta = float(model.beta.numpy())  # what a schedule, where there is one, multiplies
        warnings.warn(
            f"effective beta is {beta * scale:.4g}, not {beta:.4g}: the regularizer is {scale:.4g} times the canonical "
            f"KL. {model.kl.explain_scale(batch_size, model.latent.size)}",
            stacklevel=2,
        )
