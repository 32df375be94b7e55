"""The engine: many steps in one call, under Keras's own `fit` and `evaluate`.

A call works through a chunk of batches (`vae.data.training_chunks`). Images come as uint8; a step gathers its batch by
index, casts, binarizes, encodes, samples, decodes, differentiates and updates inside one loop. Keras calls the loop
where it would call a single step, so its callbacks work as they do, at the borders of chunks and epochs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from vae.data import Chunk, scaled_images, training_images
from vae.distributed.strategies import distributed_step, losing_nobody
from vae.model import VAE
from vae.networks import are_faster_compiled
from vae.training.non_finite import Run, Watched

Step = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], None]
Call = Callable[[Iterator[Any]], dict[str, Any]]


def chosen_engine(engine: str, model: VAE) -> str:
    """What "auto" means for this model, on this machine: "compiled" or "keras", whichever is faster.

    "compiled" is a chunk as one XLA program. "keras" is a step a call, by the library's kernels, as Keras does it by
    default.
    """
    if engine != "auto":
        return engine
    return "compiled" if are_faster_compiled(model.encoder, model.decoder) else "keras"


def train_function(
    model: VAE, binarization: str, *, compiled: bool, strategy: tf.distribute.Strategy | None = None
) -> Call:
    """What Keras's `fit` calls with an iterator over `training_chunks`: trains on a chunk, returns the metrics so far.

    Args:
        model: a compiled model whose optimizer is built.
        binarization: as in `vae.data.training_images`.
        compiled: whether the chunk is one XLA program; under a strategy, each replica's part of a step.
        strategy: between whose replicas every batch is divided.

    Raises:
        WorkerLostError: by the function, when another worker is gone.
        NotFiniteError: by the function, when a quantity becomes NaN or infinite.
    """
    if strategy is not None:
        distributed = distributed_step(model, binarization, strategy, compiled=compiled)
        return losing_nobody()(Watched(model, _chunk_function(model, distributed, compiled=False)))

    def step(images: tf.Tensor, number: tf.Tensor, weights: tf.Tensor | None) -> None:
        model.train_step((training_images(images, binarization, model.seed, number), None, weights))

    return Watched(model, _chunk_function(model, step, compiled=compiled))


def test_function(model: VAE, *, compiled: bool) -> Call:
    """What Keras's `evaluate` calls with an iterator over `evaluation_chunks`, as in `train_function`."""

    def step(images: tf.Tensor, *_: tf.Tensor | None) -> None:
        model.test_step((scaled_images(images),))

    run = _chunk_function(model, step, compiled=compiled)
    return lambda iterator: run(next(iterator))


def _chunk_function(model: VAE, step: Step, *, compiled: bool) -> Run:
    @tf.function(jit_compile=compiled)
    def run(chunk: Chunk) -> dict[str, tf.Tensor]:
        for place in tf.range(chunk.length):
            weights = None if chunk.weights is None else chunk.weights[place]
            step(tf.gather(chunk.images, chunk.indices[place]), chunk.first_step + place, weights)
        return model.get_metrics_result()

    return run
