"""Threefry with a key for every row: the draws of TensorFlow's own generator, for all rows at once.

`tf.random.stateless_normal` and `stateless_uniform` take one key for a whole tensor. Calling them for each row in a
loop takes two to three times as long. The functions here are to be called under XLA, whose generator they repeat to
the bit: Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), its counter
running over half of a row, and the two words of a block interleaved along one axis.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def normal_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Return independent standard normal float32 numbers in the shape of a tensor, by the Box-Muller transform.

    Args:
        tensor: the tensor, of which only the shape counts; it is static but for the number of rows.
        keys: a key for each row, `(rows, 2)` int64.
    """
    shape = tensor.shape[1:].as_list() or [1]
    axis = _split_axis(shape)
    pairs = [*shape[:axis], math.ceil(shape[axis] / 2), 2, *shape[axis + 1 :]]
    first, second = tf.unstack(_uniform(pairs, keys), axis=axis + 2)
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(first, 1e-7)))
    angle = tf.constant(2.0 * math.pi, tf.float32) * second
    drawn = _interleave(radius * tf.sin(angle), radius * tf.cos(angle), axis, shape)
    return tf.reshape(drawn, tf.shape(tensor))


def uniform_rows(tensor: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Return independent float32 numbers, uniform on [0, 1), in the shape of a tensor.

    Args:
        tensor: the tensor, of which only the shape counts; it is static but for the number of rows.
        keys: a key for each row, `(rows, 2)` int64.
    """
    return tf.reshape(_uniform(tensor.shape[1:].as_list() or [1], keys), tf.shape(tensor))


def _uniform(shape: Sequence[int], keys: tf.Tensor) -> tf.Tensor:
    """Return numbers of 23 random bits, `(rows, *shape)`: the mantissa of a number in [1, 2), less 1."""
    axis = _split_axis(shape)
    half = [*shape[:axis], math.ceil(shape[axis] / 2), *shape[axis + 1 :]]
    counter = tf.reshape(tf.bitcast(tf.range(math.prod(half)), tf.uint32), [1, *half])
    words = tf.cast(tf.bitwise.bitwise_and(keys, tf.constant(0xFFFFFFFF, tf.int64)), tf.uint32)
    first, second = (tf.reshape(words[:, word], [-1, *[1] * len(shape)]) for word in (0, 1))
    bits = _interleave(*_blocks(first, second, counter), axis, shape)
    mantissa = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
    return tf.bitcast(tf.bitwise.bitwise_or(mantissa, tf.constant(0x3F800000, tf.uint32)), tf.float32) - 1.0


def _blocks(first: tf.Tensor, second: tf.Tensor, counter: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the two words of Threefry's block of each counter below 2^32, under a key of two words; uint32."""
    parity = tf.bitwise.bitwise_xor(first, second)
    schedule = (first, second, tf.bitwise.bitwise_xor(parity, tf.constant(_PARITY, tf.uint32)))
    left, right = counter + first, second
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            left += right
            right = tf.bitwise.bitwise_xor(_rotate(right, rotation), left)
        left += schedule[(group + 1) % 3]
        right += schedule[(group + 2) % 3] + tf.constant(group + 1, tf.uint32)
    return left, right


def _rotate(words: tf.Tensor, bits: int) -> tf.Tensor:
    high = tf.bitwise.left_shift(words, tf.constant(bits, tf.uint32))
    return tf.bitwise.bitwise_or(high, tf.bitwise.right_shift(words, tf.constant(32 - bits, tf.uint32)))


def _split_axis(shape: Sequence[int]) -> int:
    """Return the axis of a row that XLA halves: the first of even size, else the first of the largest."""
    even = [axis for axis, size in enumerate(shape) if size % 2 == 0]
    return even[0] if even else max(range(len(shape)), key=lambda axis: shape[axis])


def _interleave(first: tf.Tensor, second: tf.Tensor, axis: int, shape: Sequence[int]) -> tf.Tensor:
    """Return `(rows, *shape)`: by turns an entry of each half along an axis of the row, cut to its size."""
    both = tf.stack([first, second], axis=axis + 2)
    joined = tf.reshape(both, [-1, *shape[:axis], 2 * math.ceil(shape[axis] / 2), *shape[axis + 1 :]])
    return joined[(slice(None),) * (axis + 1) + (slice(shape[axis]),)]
