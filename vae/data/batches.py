"""Batches of float32 images in [0, 1].

Binarization is a function of the seed, the stream and the step (training) or the index of the image (evaluation).
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from vae.data.stored_images import Images, StoredImages
from vae.random import Stream, key, row_keys, uniform_like


def training_images(images: tf.Tensor, binarization: str, seed: int, step: Any) -> tf.Tensor:
    """Return the batch of a training step, float32 in [0, 1].

    Args:
        images: the batch, uint8, `(batch, height, width, channels)`.
        binarization: "none" gives x / 255; "threshold" gives 1 if x / 255 >= 0.5, else 0; "dynamic" draws 1 with
            probability x / 255 (Salakhutdinov and Murray 2008), a function of seed and step.
        seed: seed of the draw.
        step: number of the step since training began.
    """
    scaled = scaled_images(images)
    if binarization == "dynamic":
        return _bernoulli(scaled, uniform_like(scaled, key(seed, Stream.TRAIN_BINARIZATION, step)))
    return _threshold(scaled) if binarization == "threshold" else scaled


def evaluation_images(images: tf.Tensor, first: Any, binarization: str, seed: int, stream: Stream) -> tf.Tensor:
    """Return a batch of an evaluation, float32 in [0, 1].

    Args:
        images: consecutive images of a split, uint8, `(batch, height, width, channels)`.
        first: index of the first one in the split.
        binarization: as in `training_images`, but the draw of an image is a function of seed, stream and its index.
        seed: seed of the draw.
        stream: stream of the draw.
    """
    scaled = scaled_images(images)
    if binarization == "dynamic":
        return _bernoulli(scaled, uniform_like(scaled, row_keys(seed, stream, first, tf.shape(images)[0])))
    return _threshold(scaled) if binarization == "threshold" else scaled


def evaluation_batches(
    images: Images, batch_size: int, binarization: str, seed: int, stream: Stream
) -> tf.data.Dataset:
    """Return the batches of one pass over a split, in order, float32 in [0, 1]. The last batch may be smaller.

    Args:
        images: the split.
        batch_size: number of images in a batch.
        binarization: as in `evaluation_images`.
        seed: seed of the draws.
        stream: stream of the draws.
    """
    read = image_reader(images)

    @tf.autograph.experimental.do_not_convert
    def batch(first: tf.Tensor) -> tf.Tensor:
        indices = tf.range(first, tf.minimum(first + batch_size, len(images)))
        return evaluation_images(read(indices), first, binarization, seed, stream)

    return tf.data.Dataset.range(0, len(images), batch_size).map(batch).prefetch(1)


def image_reader(images: Images) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return a function for use in a graph, from indices `(n,)` to the images at them, uint8."""
    if isinstance(images, StoredImages):
        shape = images.shape

        def read(indices: tf.Tensor) -> tf.Tensor:
            rows = tf.numpy_function(images.read, [indices], tf.uint8)
            return tf.ensure_shape(rows, [indices.shape[0], *shape[1:]])

        return read
    resident = tf.constant(images)
    return lambda indices: tf.gather(resident, indices)


def scaled_images(images: tf.Tensor) -> tf.Tensor:
    """Return grey levels from 0 to 255 as float32 in [0, 1]."""
    return tf.cast(images, tf.float32) / 255.0


def _bernoulli(probability: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    return tf.cast(uniform < probability, tf.float32)


def _threshold(scaled: tf.Tensor) -> tf.Tensor:
    return tf.cast(scaled >= 0.5, tf.float32)
