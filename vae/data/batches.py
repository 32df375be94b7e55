"""Batches of float32 images in [0, 1], whose order and binarization are functions of seed, epoch and batch."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.noise import Stream, key, keys, uniform_like, uniform_rows


def training_batches(
    images: NDArray[np.uint8], batch_size: int, binarization: str, seed: int, first_epoch: int = 0
) -> tf.data.Dataset:
    """Endless epochs of shuffled batches; the last batch of each may be smaller.

    Args:
        images: `(n, height, width, channels)`.
        batch_size: images a batch.
        binarization: "none", x / 255; "threshold", 1 where x / 255 >= 0.5; "dynamic", a Bernoulli draw with
            probability x / 255 (Salakhutdinov and Murray 2008), anew every epoch.
        seed: of the order and the draws.
        first_epoch: the epoch to begin with.
    """
    count = len(images)
    steps = math.ceil(count / batch_size)
    resident = tf.constant(images)

    def batches_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        batches = tf.data.Dataset.from_tensor_slices(epoch_order(count, seed, epoch)).batch(batch_size)
        return batches.enumerate(epoch * steps)

    def read(step: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        return training_images(resident, indices, binarization, seed, step)

    epochs = tf.data.Dataset.counter(first_epoch)
    return epochs.flat_map(batches_of_epoch).map(read).prefetch(tf.data.AUTOTUNE)


def epoch_order(count: int, seed: int, epoch: Any) -> tf.Tensor:
    """The order of `count` images in an epoch: their indices, `(count,)`, a function of seed and epoch."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed=key(seed, Stream.ORDER, epoch))


def training_images(images: tf.Tensor, indices: tf.Tensor, binarization: str, seed: int, step: Any) -> tf.Tensor:
    """The batch of a training step, float32 in [0, 1]: what "dynamic" draws is a function of seed and step.

    Args:
        images: all of them, uint8, `(n, height, width, channels)`.
        indices: which, `(batch,)`.
        binarization: "none", "threshold" or "dynamic".
        seed: of the draw.
        step: the number of the step since training began.
    """
    scaled = _scaled(tf.gather(images, indices))
    if binarization == "dynamic":
        return _bernoulli(scaled, uniform_like(scaled, key(seed, Stream.TRAIN_BINARIZATION, step)))
    return _fixed(scaled, binarization)


def evaluation_batches(
    images: NDArray[np.uint8], batch_size: int, binarization: str, seed: int, stream: Stream
) -> tf.data.Dataset:
    """One pass in order. What "dynamic" draws for an image is fixed by the seed, the stream and the image's place."""

    def read(batch: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        scaled = _scaled(batch)
        if binarization == "dynamic":
            return _bernoulli(scaled, uniform_rows(scaled, keys(seed, stream, place[0], tf.size(place))))
        return _fixed(scaled, binarization)

    places = np.arange(len(images), dtype=np.int64)
    batches = tf.data.Dataset.from_tensor_slices((images, places)).batch(batch_size)
    return batches.map(read).cache().prefetch(tf.data.AUTOTUNE)


def _scaled(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32) / 255.0


def _bernoulli(probability: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    return tf.cast(uniform < probability, tf.float32)


def _fixed(scaled: tf.Tensor, binarization: str) -> tf.Tensor:
    return tf.cast(scaled >= 0.5, tf.float32) if binarization == "threshold" else scaled
