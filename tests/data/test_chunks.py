"""Chunks: every batch once, in an order that is a function of seed and epoch, in memory and on disk."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from vae.data import StoredImages, epoch_order, evaluation_batches, evaluation_chunks, training_chunks
from vae.random import Stream


def distinct(count: int = 50) -> NDArray[np.uint8]:
    """Return images of one pixel each, whose value is the index of the image."""
    return np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)


def steps_of(images: NDArray[np.uint8], count: int, **options: Any) -> list[tuple[int, NDArray[np.uint8]]]:
    """Return the numbers and the images of the first steps."""
    chunks, _ = training_chunks(images, **{"batch_size": 16, "seed": 0, **options})
    return list(itertools.islice(steps_in(chunks), count))


def steps_in(chunks: tf.data.Dataset) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the number and the images of every step."""
    for chunk in chunks.as_numpy_iterator():
        for row in range(chunk.length):
            yield int(chunk.first_step) + row, chunk.images[chunk.indices[row]]


def epochs(images: NDArray[np.uint8], count: int, *, seed: int = 0, first_epoch: int = 0) -> list[list[int]]:
    """Return the indices of the images of each of the first epochs, in order."""
    steps = math.ceil(len(images) / 16)
    found = steps_of(images, count * steps, seed=seed, first_step=first_epoch * steps)
    indices = [rows.ravel() for _, rows in found]
    return [np.concatenate(indices[start : start + steps]).tolist() for start in range(0, count * steps, steps)]


def test_every_epoch_has_every_image_once_in_a_new_order() -> None:
    images = distinct()
    first, second = epochs(images, 2)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != sorted(first)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    images = distinct()
    assert epochs(images, 3)[2:] == epochs(images, 1, first_epoch=2)
    assert epochs(images, 1) != epochs(images, 1, seed=1)


COUNTS_AND_LONGEST = [(90, 200), (80, 200), (90, 2), (100, 3), (20, 1), (15, 5), (400, 7)]


@pytest.mark.parametrize(("count", "longest"), COUNTS_AND_LONGEST)
@pytest.mark.parametrize("first_step", [0, 3])
def test_batches_follow_the_order_of_the_epoch(count: int, longest: int, first_step: int) -> None:
    """The order is `epoch_order`'s, for every length of a chunk and every first step."""
    images = np.arange(count, dtype=np.uint16).view(np.uint8).reshape(count, 1, 2, 1)  # two pixels hold the index
    batch_size = min(20, count)
    steps = math.ceil(count / batch_size)
    orders = [epoch_order(count, 3, epoch).numpy() for epoch in range(5)]
    expected = [order[first : first + batch_size].tolist() for order in orders for first in range(0, count, batch_size)]
    found = steps_of(images, 2 * steps, batch_size=batch_size, seed=3, longest=longest, first_step=first_step)
    assert [number for number, _ in found] == list(range(first_step, first_step + 2 * steps))
    found_images = [rows.reshape(-1, 2).copy().view(np.uint16).ravel().tolist() for _, rows in found]
    assert found_images == expected[first_step : first_step + 2 * steps]
    chunks, calls = training_chunks(images, batch_size, 3, longest)
    lengths = [int(chunk.length) for chunk in itertools.islice(chunks.as_numpy_iterator(), 2 * calls)]
    assert max(lengths) <= longest
    assert sum(lengths[:calls]) == sum(lengths[calls:]) == steps


def test_a_resumed_epoch_has_as_many_chunks_as_a_whole_one() -> None:
    chunks, calls = training_chunks(distinct(100), 10, 0, longest=4, first_step=15)
    lengths = [int(chunk.length) for chunk in itertools.islice(chunks.as_numpy_iterator(), 2 * calls)]
    assert lengths == [0, 3, 2, 4, 4, 2]


@pytest.mark.parametrize("largest", [2**20, 20 * 60 * 2])
def test_batches_from_disk_are_those_from_memory(
    stored: tuple[NDArray[np.uint8], StoredImages], largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that would be too large have fewer steps; their batches are the same."""
    monkeypatch.setattr("vae.data.chunks.LARGEST_CHUNK", largest)
    resident, on_disk = (steps_of(images, 14, batch_size=20, longest=4) for images in stored)
    assert all(left == right and np.array_equal(a, b) for (left, a), (right, b) in zip(resident, on_disk, strict=True))
    rows = next(training_chunks(stored[1], 20, 0, 4)[0].as_numpy_iterator()).images
    assert rows.nbytes <= largest
    evaluated = [
        [rows for _, rows in steps_in(evaluation_chunks(images, 20, "dynamic", 0, Stream.TEST_BINARIZATION, longest=4))]
        for images in stored
    ]
    expected = evaluation_batches(stored[0], 20, "dynamic", 0, Stream.TEST_BINARIZATION).as_numpy_iterator()
    for left, right, batch in zip(*evaluated, expected, strict=True):
        assert np.array_equal(left, right)
        assert np.array_equal(left, batch * 255)


def test_the_last_batch_is_smaller() -> None:
    assert [len(rows) for _, rows in steps_of(distinct(), 4)] == [16, 16, 16, 2]


@pytest.mark.parametrize("on_disk", [False, True])
def test_weights_follow_their_images(on_disk: bool, stored: tuple[NDArray[np.uint8], StoredImages]) -> None:
    """Here the weight of an image is its mean grey level."""
    images = stored[on_disk]
    weights = stored[0].mean(axis=(1, 2, 3)).astype(np.float32)
    chunks, calls = training_chunks(images, 20, 0, 4, weights=weights)
    for chunk in itertools.islice(chunks.as_numpy_iterator(), calls):
        for row in range(chunk.length):
            means = chunk.images[chunk.indices[row]].mean(axis=(1, 2, 3))
            assert chunk.weights[row] == pytest.approx(means, rel=1e-6)


def test_chunks_without_weights_say_so() -> None:
    assert next(iter(training_chunks(distinct(), 16, 0)[0])).weights is None
    assert next(iter(evaluation_chunks(distinct(), 16, "none", 0, Stream.TEST_BINARIZATION))).weights is None
