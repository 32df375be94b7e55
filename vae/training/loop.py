"""The training loop: many steps in one call, under Keras's own `fit` and `evaluate`.

`fit` gives Keras a function that trains on a chunk of batches (`vae.data.Chunk`) where Keras would train on one. The
loop over the steps is in `_over_steps`, inside one program: a step gathers its batch by index, scales and binarizes
the uint8 images, and is then Keras's own `train_step`, whose loss is `VAE.compute_loss`. Keras's callbacks are called
at the borders of chunks and epochs.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence

import keras
import tensorflow as tf

from vae.data import Chunk, DataSource, evaluation_chunks, scaled_images, training_chunks, training_images
from vae.distributed.strategies import detecting_lost_workers, distributed_step
from vae.errors import UserError
from vae.model import VAE
from vae.networks import are_faster_compiled
from vae.random import Stream
from vae.training.non_finite import NonFiniteWatch
from vae.training.options import TrainingOptions
from vae.training.programs import program
from vae.training.progress import Progress

KERAS_CHUNK = 10  # steps in a call of TensorFlow's kernels: the call's own cost is hidden, and a signal soon heard

Means = dict[str, tf.Tensor]
Step = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], None]


def fit(
    model: VAE,
    data: DataSource,
    callbacks: Sequence[keras.callbacks.Callback],
    options: TrainingOptions,
    *,
    start: Progress | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> None:
    """Train a compiled model.

    Args:
        model: the compiled model.
        data: the data set.
        callbacks: Keras callbacks, called at the borders of chunks and epochs. One that has a method `close` is closed
            however training ends; Keras calls none after an error.
        options: epochs, batch size, and how to compute them.
        start: the point at which a resumed run goes on; None for the beginning.
        strategy: divides every batch between its replicas (`vae.distributed.strategies`); None for one device.

    Raises:
        UserError: if images have weights under a strategy.
        NonFiniteError: if a quantity becomes NaN or infinite.
        WorkerLostError: if another worker is gone.
    """
    if strategy is not None and data.weights is not None:
        raise UserError("data.weights: needs trainer.strategy=single")
    start = start or Progress()
    compiled = chosen_engine(options.engine, model) == "compiled"
    batch_size = min(options.batch_size, data.size("train"))
    first_epoch = start.steps // options.steps_per_epoch(data.size("train"))
    if start.stopped:
        warnings.warn(
            f"a callback, such as early stopping, ended this run after {first_epoch} epochs, and it trains no further; "
            "start a new run without that callback to train longer",
            stacklevel=2,
        )
    chunk = options.chunk if compiled else min(options.chunk, KERAS_CHUNK)
    chunks, chunks_per_epoch = training_chunks(data.train, batch_size, model.seed, chunk, start.steps, data.weights)
    validation = evaluation_chunks(
        data.validation, batch_size, data.binarization, model.seed, Stream.VALIDATION_BINARIZATION, options.chunk
    )
    if not model.optimizer.built:  # a second time would reset a LossScaleOptimizer
        model.optimizer.build(model.trainable_variables)
    model.train_function = train_function(model, data.binarization, compiled=compiled, strategy=strategy)
    model.test_function = test_function(model, compiled=compiled)
    try:
        model.fit(
            chunks,
            epochs=first_epoch if start.stopped else options.epochs,
            initial_epoch=first_epoch,
            steps_per_epoch=chunks_per_epoch,
            shuffle=False,  # the chunks are shuffled, by seed and epoch
            validation_data=validation,
            verbose=0,
            callbacks=list(callbacks),
        )
    finally:
        for callback in callbacks:
            if close := getattr(callback, "close", None):
                close()
        model.train_function = model.test_function = None  # Keras makes its own if the model is used further


def chosen_engine(engine: str, model: VAE) -> str:
    """Return "compiled" or "keras": for "auto", the one that is faster for this model on this machine.

    "compiled" runs a chunk as one XLA program. "keras" runs a few steps a call with TensorFlow's kernels, which Keras
    uses by default.
    """
    if engine != "auto":
        return engine
    return "compiled" if are_faster_compiled(model.encoder, model.decoder) else "keras"


def train_function(
    model: VAE, binarization: str, *, compiled: bool, strategy: tf.distribute.Strategy | None = None
) -> Callable[[Iterator[Chunk]], Means]:
    """Return the function that `fit` calls with an iterator over `training_chunks`.

    It trains on the next chunk and returns the running means of the metrics.

    Args:
        model: a compiled model whose optimizer is built.
        binarization: as in `vae.data.training_images`.
        compiled: True to run the chunk as one XLA program; under a strategy, each replica's part of a step.
        strategy: divides every batch between its replicas; None for one device.

    Raises:
        NonFiniteError: by the function, if a quantity becomes NaN or infinite.
        WorkerLostError: by the function, if another worker is gone.
    """
    if strategy is not None:
        step = distributed_step(model, binarization, strategy, compiled=compiled)
        return detecting_lost_workers()(NonFiniteWatch(model, _over_steps(model, step, compiled=False)))

    def train_step(images: tf.Tensor, number: tf.Tensor, weights: tf.Tensor | None) -> None:
        model.train_step((training_images(images, binarization, model.noise_seed, number), None, weights))

    run = program(model, "training", lambda: _over_steps(model, train_step, compiled=compiled))
    return NonFiniteWatch(model, run)


def test_function(model: VAE, *, compiled: bool) -> Callable[[Iterator[Chunk]], Means]:
    """Return the function that `evaluate` calls with an iterator over `evaluation_chunks`."""

    def test_step(images: tf.Tensor, *_: tf.Tensor | None) -> None:
        model.test_step((scaled_images(images),))

    run = program(model, "validation", lambda: _over_steps(model, test_step, compiled=compiled))
    return lambda chunks: run(next(chunks))


def _over_steps(model: VAE, step: Step, *, compiled: bool) -> Callable[[Chunk], Means]:
    """Return a function that runs a step on every batch of a chunk: the loop over steps."""

    @tf.function(autograph=False, jit_compile=compiled)
    def run(chunk: Chunk) -> Means:
        def one(place: tf.Tensor) -> tuple[tf.Tensor]:
            batch = tf.gather(chunk.images, chunk.indices[place])
            step(batch, chunk.first_step + place, None if chunk.weights is None else chunk.weights[place])
            return (place + 1,)

        tf.while_loop(lambda place: place < chunk.length, one, (tf.zeros_like(chunk.length),))
        return model.get_metrics_result()

    return run
