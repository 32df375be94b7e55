"""The compiled engine: many training steps as one XLA program, under Keras's own `fit`.

Images stay resident as uint8; a step gathers its batch by index, casts, binarizes, encodes, samples, decodes,
differentiates and updates inside one compiled loop. Keras calls the loop where it would call a single step, so its
callbacks work as they do, at the borders of chunks and epochs.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.data import epoch_order, training_images
from vae.model import VAE

LONGEST_CHUNK = 200


def chosen_engine(engine: str, model: VAE) -> str:
    """What "auto" means for this model: "compiled", but "keras" where there are convolutions and no GPU.

    XLA's convolutions on the CPU lose to the library's by far: the README has the figures.
    """
    if engine != "auto":
        return engine
    layers = [*model.encoder.layers, *model.decoder.layers]
    convolutional = any(isinstance(layer, keras.layers.Conv2D | keras.layers.Conv2DTranspose) for layer in layers)
    return "keras" if convolutional and not tf.config.list_physical_devices("GPU") else "compiled"


def training_chunks(count: int, batch_size: int, seed: int, first_epoch: int = 0) -> tuple[tf.data.Dataset, int]:
    """Endless epochs of chunks of steps, and how many chunks are an epoch.

    The order is that of `vae.data.training_batches`. A chunk is the number of its first step since training began, how
    many steps it has, and the indices of their images, `(steps, batch_size)`; where an epoch does not divide evenly
    the last rows are padding. The last batch of an epoch, where it is smaller, is a chunk of its own.

    Args:
        count: how many images there are.
        batch_size: images a step.
        seed: of the order.
        first_epoch: the epoch to begin with.
    """
    full, rest = divmod(count, batch_size)
    chunks = math.ceil(full / LONGEST_CHUNK)
    steps = math.ceil(full / chunks)
    steps_per_epoch = full + (rest > 0)

    def chunks_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = epoch_order(count, seed, epoch)
        whole = tf.reshape(order[: full * batch_size], [full, batch_size])
        padded = tf.pad(whole, [[0, chunks * steps - full], [0, 0]])
        starts = tf.range(chunks, dtype=tf.int64) * steps
        lengths = tf.minimum(tf.constant(steps, tf.int64), full - starts)
        indices = tf.reshape(padded, [chunks, steps, batch_size])
        first = epoch * steps_per_epoch
        dataset = tf.data.Dataset.from_tensor_slices((first + starts, lengths, indices))
        if rest:
            last = (first + full, tf.constant(1, tf.int64), order[tf.newaxis, full * batch_size :])
            dataset = dataset.concatenate(tf.data.Dataset.from_tensors(last))
        return dataset

    epochs = tf.data.Dataset.counter(first_epoch)
    return epochs.flat_map(chunks_of_epoch).prefetch(2), chunks + (rest > 0)


def compiled_train_function(
    model: VAE, images: NDArray[np.uint8], binarization: str
) -> Callable[[Iterator[Any]], dict[str, Any]]:
    """What Keras's `fit` calls with an iterator over `training_chunks`: runs a chunk, returns the metrics so far.

    Args:
        model: a compiled model whose optimizer is built.
        images: `(n, height, width, channels)`.
        binarization: as in `vae.data.training_batches`.
    """
    resident = tf.constant(images)

    @tf.function(jit_compile=True)
    def run(images: tf.Tensor, first_step: tf.Tensor, steps: tf.Tensor, indices: tf.Tensor) -> dict[str, tf.Tensor]:
        for step in tf.range(steps):
            batch = training_images(images, indices[step], binarization, model.seed, first_step + step)
            model.train_step((batch,))
        return model.get_metrics_result()

    def train_function(iterator: Iterator[Any]) -> dict[str, Any]:
        return run(resident, *next(iterator))

    return train_function
