"""Chunks of batches: what one call of a compiled program works through."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.data.batches import Images, evaluation_images, reader
from vae.data.stored import StoredImages
from vae.random import Stream, key

Take = Callable[[tf.Tensor], tuple[tf.Tensor, ...]]

LONGEST_CHUNK = 200
LARGEST_CHUNK = 64 * 2**20  # bytes of images from disk: of three chunks one is worked on and two are being read


def training_chunks(
    images: Images,
    batch_size: int,
    seed: int,
    longest: int = LONGEST_CHUNK,
    first_step: int = 0,
    weights: NDArray[np.float32] | None = None,
) -> tuple[tf.data.Dataset, int]:
    """Endless epochs of chunks of shuffled batches, and how many chunks an epoch has.

    A chunk is `(images, indices, first, length)`: the number of its first step since training began, how many steps it
    has, and for each of them the indices of its batch in `images`, `(steps, batch_size)`. `images` is all of them, or
    of images on disk this chunk's alone. Chunks are of one shape, and where they have more rows than steps the last
    rows are padding; an epoch's last batch, where it is smaller, is a chunk of its own.

    Args:
        images: the training split.
        batch_size: images a step.
        seed: of the order, which is a function of seed and epoch.
        longest: how many steps a chunk has at most.
        first_step: where a resumed run goes on; in its epoch, steps before it are left out and chunks before it empty.
        weights: one for each image, `(n,)`; a chunk then has those of its batches at its end, `(steps, batch_size)`.
    """
    count = len(images)
    steps_per_epoch = math.ceil(count / batch_size)
    first_epoch, behind = divmod(first_step, steps_per_epoch)
    shapes, take = _shapes(images, batch_size, longest), _taker(images, apart=False)
    resident_weights = None if weights is None else tf.constant(weights)

    def take_weighted(indices: tf.Tensor) -> tuple[tf.Tensor, ...]:
        taken = take(indices)
        return taken if resident_weights is None else (*taken, tf.gather(resident_weights, indices))

    def chunks_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = epoch_order(count, seed, epoch)
        done = tf.where(epoch == first_epoch, tf.constant(behind, tf.int64), 0)
        chunks = _chunks(shapes, count, lambda places: take_weighted(tf.gather(order, places)), done)
        before = epoch * steps_per_epoch
        return chunks.map(lambda rows, indices, first, *others: (rows, indices, before + first, *others))

    epochs = tf.data.Dataset.counter(first_epoch).flat_map(chunks_of_epoch)
    return epochs.prefetch(1), len(shapes)


def evaluation_chunks(
    images: Images, batch_size: int, binarization: str, seed: int, stream: Stream, longest: int = LONGEST_CHUNK
) -> tf.data.Dataset:
    """One pass in order over a split, in chunks like those of `training_chunks`; `first` is the number of a batch.

    Images come binarized, as 0 and 255; arguments as in `vae.data.batches.evaluation_images`.
    """

    def binarized(rows: tf.Tensor, indices: tf.Tensor, first: tf.Tensor, length: tf.Tensor) -> tuple[tf.Tensor, ...]:
        drawn = evaluation_images(rows, first * batch_size, binarization, seed, stream)
        return tf.cast(tf.round(drawn * 255.0), tf.uint8), indices, first, length

    shapes, take = _shapes(images, batch_size, longest), _taker(images, apart=True)
    chunks = _chunks(shapes, len(images), take, tf.constant(0, tf.int64)).map(binarized)
    return chunks.prefetch(1) if isinstance(images, StoredImages) else chunks.cache()


def epoch_order(count: int, seed: int, epoch: Any) -> tf.Tensor:
    """The order of `count` images in an epoch: their indices, `(count,)`, a function of seed and epoch."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed=key(seed, Stream.ORDER, epoch).value)


def _shapes(images: Images, batch_size: int, longest: int) -> list[tuple[int, int, int]]:
    """The chunks of an epoch: each one's first step, its number of steps and its batch size."""
    full, rest = divmod(len(images), batch_size)
    if isinstance(images, StoredImages):
        longest = max(1, min(longest, LARGEST_CHUNK // (batch_size * math.prod(images.shape[1:]))))
    steps = math.ceil(full / math.ceil(full / longest)) if full else 0
    chunks = [(first, min(steps, full - first), batch_size) for first in range(0, full, steps)] if full else []
    return [*chunks, (full, 1, rest)] if rest else chunks


def _taker(images: Images, apart: bool) -> Take:
    """A function from indices to a tensor of images and the places of those in it, for use in a graph.

    The tensor is all of the images, or where they are on disk, or wanted `apart`, those alone. It must be called
    outside of any graph: inside, all images would become a constant of it.
    """
    if apart or isinstance(images, StoredImages):
        read = reader(images)
        return lambda indices: (read(indices), tf.range(tf.size(indices)))
    resident = tf.constant(images)
    return lambda indices: (resident, indices)


def _chunks(shapes: Sequence[tuple[int, int, int]], count: int, take: Take, done: tf.Tensor) -> tf.data.Dataset:
    """The chunks of one epoch over `count` images; `take` is given their places in its order."""

    def chunk(first: tf.Tensor, length: tf.Tensor, steps: int, batch: int) -> tuple[tf.Tensor, ...]:
        begin = tf.clip_by_value(done, first, first + length)
        places = begin * shapes[0][2] + tf.range(steps * batch, dtype=tf.int64)  # a ragged batch is the last
        rows, *others = take(tf.minimum(places, count - 1))
        indices, *weights = (tf.reshape(values, [steps, batch]) for values in others)
        return rows, indices, begin, first + length - begin, *weights

    datasets = []
    for batch in dict.fromkeys(batch for _, _, batch in shapes):
        alike = np.array([(first, length) for first, length, size in shapes if size == batch], np.int64)
        steps = int(alike[:, 1].max())
        parts = tf.data.Dataset.from_tensor_slices((alike[:, 0], alike[:, 1]))
        datasets.append(parts.map(lambda first, length, steps=steps, batch=batch: chunk(first, length, steps, batch)))
    return datasets[0] if len(datasets) == 1 else datasets[0].concatenate(datasets[1])
