"""Chunks of batches: the work of one call of a compiled program."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from vae.data.batches import evaluation_images, image_reader
from vae.data.stored_images import Images, StoredImages
from vae.random import Stream, key

LONGEST_CHUNK = 200  # steps
LARGEST_CHUNK = 64 * 2**20  # bytes of images read from disk; at most three chunks are in memory at a time


class Chunk(NamedTuple):
    """The batches of consecutive steps.

    Attributes:
        images: uint8, `(n, height, width, channels)`: the whole split, or only this chunk's images.
        indices: for each step, the indices in `images` of its batch, `(steps, batch_size)`.
        first_step: number of the first step since training began; in an evaluation, since the pass began.
        length: number of steps. Rows of `indices` after it are padding.
        weights: for each step, the weights of its examples, `(steps, batch_size)`; None if all count the same.
    """

    images: tf.Tensor
    indices: tf.Tensor
    first_step: tf.Tensor
    length: tf.Tensor
    weights: tf.Tensor | None = None


class ChunkShape(NamedTuple):
    """A place in the plan of an epoch: the steps from `first_step` on, all of one batch size."""

    first_step: int
    length: int
    batch_size: int


def training_chunks(
    images: Images,
    batch_size: int,
    seed: int,
    longest: int = LONGEST_CHUNK,
    first_step: int = 0,
    weights: NDArray[np.float32] | None = None,
) -> tuple[tf.data.Dataset, int]:
    """Return an endless data set of chunks of shuffled batches, and the number of chunks in an epoch.

    All chunks have the same shape, except that an epoch's smaller last batch is a chunk of its own. A chunk holds the
    whole training split if that is in memory, else only its own images.

    Args:
        images: the training split.
        batch_size: images in a step.
        seed: seed of the order, which is a function of seed and epoch.
        longest: largest number of steps in a chunk.
        first_step: step at which a resumed run continues. Its epoch has as many chunks as any other: those that are
            done are empty.
        weights: one for each image, `(n,)`; None if all count the same.
    """
    count = len(images)
    steps_per_epoch = math.ceil(count / batch_size)
    first_epoch, first_step_of_epoch = divmod(first_step, steps_per_epoch)
    plan = _epoch_plan(images, batch_size, longest)
    select = _selector(images)
    resident_weights = None if weights is None else tf.constant(weights, tf.float32)

    @tf.autograph.experimental.do_not_convert
    def chunks_of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = epoch_order(count, seed, epoch)

        def make_chunk(positions: tf.Tensor, chunk_first: tf.Tensor, length: tf.Tensor) -> Chunk:
            in_split = tf.gather(order, positions)
            rows, indices = select(in_split)
            chunk_weights = None if resident_weights is None else tf.gather(resident_weights, in_split)
            return Chunk(rows, indices, epoch * steps_per_epoch + chunk_first, length, chunk_weights)

        steps_done = tf.where(epoch == first_epoch, tf.constant(first_step_of_epoch, tf.int64), 0)
        return _chunks(plan, count, steps_done, make_chunk)

    return tf.data.Dataset.counter(first_epoch).flat_map(chunks_of_epoch).prefetch(1), len(plan)


def evaluation_chunks(
    images: Images, batch_size: int, binarization: str, seed: int, stream: Stream, longest: int = LONGEST_CHUNK
) -> tf.data.Dataset:
    """Return a data set of chunks: one pass over a split in order, whose images are binarized to 0 and 255.

    Args:
        images: the split.
        batch_size: images in a step.
        binarization: as in `vae.data.batches.evaluation_images`.
        seed: seed of the draws.
        stream: stream of the draws.
        longest: largest number of steps in a chunk.
    """
    read = image_reader(images)

    def make_chunk(positions: tf.Tensor, first_step: tf.Tensor, length: tf.Tensor) -> Chunk:
        flat = tf.reshape(positions, [-1])
        drawn = evaluation_images(read(flat), first_step * batch_size, binarization, seed, stream)
        rows = tf.cast(tf.round(drawn * 255.0), tf.uint8)
        return Chunk(rows, tf.reshape(tf.range(tf.size(flat)), tf.shape(positions)), first_step, length)

    plan = _epoch_plan(images, batch_size, longest)
    chunks = _chunks(plan, len(images), tf.constant(0, tf.int64), make_chunk)
    return chunks.prefetch(1) if isinstance(images, StoredImages) else chunks.cache()


def epoch_order(count: int, seed: int, epoch: Any) -> tf.Tensor:
    """Return the order of `count` images in an epoch: their indices, `(count,)`, a function of seed and epoch."""
    return tf.random.experimental.stateless_shuffle(tf.range(count), seed=key(seed, Stream.ORDER, epoch).value)


def _epoch_plan(images: Images, batch_size: int, longest: int) -> list[ChunkShape]:
    full, rest = divmod(len(images), batch_size)
    if isinstance(images, StoredImages):
        longest = max(1, min(longest, LARGEST_CHUNK // (batch_size * math.prod(images.shape[1:]))))
    plan = []
    if full:
        length = math.ceil(full / math.ceil(full / longest))
        plan = [ChunkShape(first, min(length, full - first), batch_size) for first in range(0, full, length)]
    return [*plan, ChunkShape(full, 1, rest)] if rest else plan


def _selector(images: Images) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """Return a function for use in a graph, from indices in a split to a tensor of images and the indices in it.

    The tensor holds the whole split, or only the selected images if the split is on disk. This function must be called
    outside of any graph, or the whole split would become a constant of it.
    """
    if isinstance(images, StoredImages):
        read = image_reader(images)

        def select(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            flat = tf.reshape(indices, [-1])
            return read(flat), tf.reshape(tf.range(tf.size(flat)), tf.shape(indices))

        return select
    resident = tf.constant(images)
    return lambda indices: (resident, indices)


def _chunks(
    plan: Sequence[ChunkShape],
    count: int,
    steps_done: tf.Tensor,
    make_chunk: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], Chunk],
) -> tf.data.Dataset:
    """Return the chunks of one epoch.

    Args:
        plan: the chunks.
        count: number of images.
        steps_done: number of steps to leave out at the beginning of the epoch, a scalar tensor.
        make_chunk: makes a chunk of the positions of its images in the epoch's order `(steps, batch_size)`, its first
            step in the epoch and its length.
    """

    def chunk(first: tf.Tensor, length: tf.Tensor, steps: int, batch_size: int) -> Chunk:
        begin = tf.clip_by_value(steps_done, first, first + length)
        start = begin * plan[0].batch_size  # only the last chunk has another batch size
        positions = start + tf.range(steps * batch_size, dtype=tf.int64)
        padded = tf.reshape(tf.minimum(positions, count - 1), [steps, batch_size])
        return make_chunk(padded, begin, first + length - begin)

    datasets = []
    for batch_size in dict.fromkeys(shape.batch_size for shape in plan):
        of_size = [shape for shape in plan if shape.batch_size == batch_size]
        firsts, lengths = (np.array(values, np.int64) for values in list(zip(*of_size, strict=True))[:2])
        steps = int(lengths.max())
        parts = tf.data.Dataset.from_tensor_slices((firsts, lengths))
        datasets.append(
            parts.map(
                tf.autograph.experimental.do_not_convert(functools.partial(chunk, steps=steps, batch_size=batch_size))
            )
        )
    return datasets[0] if len(datasets) == 1 else datasets[0].concatenate(datasets[1])
