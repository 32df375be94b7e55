"""Order and binarization: functions of seed, epoch and place."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from vae.data import (
    StoredImages,
    epoch_order,
    evaluation_batches,
    evaluation_chunks,
    training_chunks,
    training_images,
)
from vae.data import chunks as cut
from vae.random import Stream


def distinct(count: int = 50) -> NDArray[np.uint8]:
    """Images of one pixel each, all different: the pixel says which image it is."""
    return np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)


def steps_of(images: NDArray[np.uint8], count: int, **options: Any) -> list[tuple[int, NDArray[np.uint8]]]:
    """The first steps' numbers and images."""
    chunks, _ = training_chunks(images, **{"batch_size": 16, "seed": 0, **options})
    steps = (
        (int(first) + place, rows[indices[place]])
        for rows, indices, first, length in chunks.as_numpy_iterator()
        for place in range(length)
    )
    return list(itertools.islice(steps, count))


def epochs(images: NDArray[np.uint8], number: int, *, seed: int = 0, first_epoch: int = 0) -> list[list[int]]:
    """Which images come in each of the first epochs, in order."""
    steps = math.ceil(len(images) / 16)
    shown = [rows.ravel() for _, rows in steps_of(images, number * steps, seed=seed, first_step=first_epoch * steps)]
    return [np.concatenate(shown[start : start + steps]).tolist() for start in range(0, number * steps, steps)]


def test_every_image_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    images = distinct()
    first, second = epochs(images, 2)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != sorted(first)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    images = distinct()
    assert epochs(images, 3)[2:] == epochs(images, 1, first_epoch=2)
    assert epochs(images, 1) != epochs(images, 1, seed=1)


def test_batches_are_float_images_in_the_unit_interval() -> None:
    images = distinct()
    assert [len(rows) for _, rows in steps_of(images, 4)] == [16, 16, 16, 2]
    batch = training_images(tf.constant(images), "none", 0, 0).numpy()
    assert batch.dtype == np.float32
    assert batch.ravel() == pytest.approx(np.arange(50) / 255)


def test_dynamic_binarization_draws_each_pixel_with_its_grey_value_anew_every_step() -> None:
    images = tf.fill([40, 25, 25, 1], tf.constant(51, tf.uint8))  # 51 / 255 = 0.2
    first, second = (training_images(images, "dynamic", 0, step).numpy() for step in (0, 1))
    assert set(np.unique(first)) == {0.0, 1.0}
    error = np.sqrt(0.2 * 0.8 / first.size)
    assert abs(first.mean() - 0.2) < 4 * error  # four standard errors
    # An independent draw agrees where both are 0 or both are 1: 0.64 + 0.04 of the pixels
    assert abs(np.mean(first == second) - 0.68) < 4 * np.sqrt(0.68 * 0.32 / first.size)
    assert np.array_equal(training_images(images, "dynamic", 0, 1), second)


CUTS = [(90, 200), (80, 200), (90, 2), (100, 3), (20, 1), (15, 5), (400, 7)]


@pytest.mark.parametrize(("count", "longest"), CUTS)
@pytest.mark.parametrize("behind", [0, 3])
def test_chunks_hold_the_batches_in_their_order(count: int, longest: int, behind: int) -> None:
    """However they are cut, and from whichever step on; the order is `epoch_order`'s."""
    images = np.arange(count, dtype=np.uint16).view(np.uint8).reshape(count, 1, 2, 1)  # two pixels say which
    batch_size = min(20, count)
    steps = math.ceil(count / batch_size)
    orders = [epoch_order(count, 3, epoch).numpy() for epoch in range(5)]
    expected = [order[first : first + batch_size].tolist() for order in orders for first in range(0, count, batch_size)]
    found = steps_of(images, 2 * steps, batch_size=batch_size, seed=3, longest=longest, first_step=behind)
    assert [number for number, _ in found] == list(range(behind, behind + 2 * steps))
    shown = [rows.reshape(-1, 2).copy().view(np.uint16).ravel().tolist() for _, rows in found]
    assert shown == expected[behind : behind + 2 * steps]
    chunks, calls = training_chunks(images, batch_size, 3, longest)
    lengths = [int(length) for *_, length in itertools.islice(chunks.as_numpy_iterator(), 2 * calls)]
    assert max(lengths) <= longest
    assert sum(lengths[:calls]) == sum(lengths[calls:]) == steps


def test_a_resumed_epoch_has_as_many_calls_as_a_whole_one() -> None:
    chunks, calls = training_chunks(distinct(100), 10, 0, longest=4, first_step=15)
    lengths = [int(length) for *_, length in itertools.islice(chunks.as_numpy_iterator(), 2 * calls)]
    assert lengths == [0, 3, 2, 4, 4, 2]


@pytest.fixture
def stored(tmp_path: Path) -> tuple[NDArray[np.uint8], StoredImages]:
    images = np.random.default_rng(0).integers(0, 256, (110, 5, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    return images, StoredImages(tmp_path / "images.npy")


def test_images_on_disk_are_what_an_array_is(stored: tuple[NDArray[np.uint8], StoredImages]) -> None:
    images, on_disk = stored
    assert on_disk.shape == images.shape
    assert np.array_equal(on_disk.read(np.array([3, 0, 109])), images[[3, 0, 109]])
    part = on_disk[10:60][5:]
    assert len(part) == 45
    assert np.array_equal(part.read(np.arange(45)), images[15:60])


@pytest.mark.parametrize("largest", [2**20, 20 * 60 * 2])
def test_images_on_disk_come_in_the_same_order(
    stored: tuple[NDArray[np.uint8], StoredImages], largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks are cut smaller where they would be too large; batches are the same."""
    monkeypatch.setattr(cut, "LARGEST_CHUNK", largest)
    resident, on_disk = (steps_of(images, 14, batch_size=20, longest=4) for images in stored)
    assert all(left == right and np.array_equal(a, b) for (left, a), (right, b) in zip(resident, on_disk, strict=True))
    rows = next(training_chunks(stored[1], 20, 0, 4)[0].as_numpy_iterator())[0]
    assert rows.nbytes <= largest
    evaluated = [
        [
            rows[indices[place]]
            for rows, indices, _, length in evaluation_chunks(
                images, 20, "dynamic", 0, Stream.TEST_BINARIZATION, longest=4
            ).as_numpy_iterator()
            for place in range(length)
        ]
        for images in stored
    ]
    expected = evaluation_batches(stored[0], 20, "dynamic", 0, Stream.TEST_BINARIZATION).as_numpy_iterator()
    for left, right, batch in zip(*evaluated, expected, strict=True):
        assert np.array_equal(left, right)
        assert np.array_equal(left, batch * 255)


def test_threshold_binarization_cuts_at_one_half() -> None:
    images = np.array([0, 127, 128, 255], np.uint8).reshape(4, 1, 1, 1)
    batches = evaluation_batches(images, 4, "threshold", 0, Stream.TEST_BINARIZATION)
    assert next(iter(batches)).numpy().ravel().tolist() == [0.0, 0.0, 1.0, 1.0]


def test_evaluation_is_in_order_and_fixed_by_the_seed_whatever_the_batch_size() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 6, 1), dtype=np.uint8)

    def drawn(batch_size: int, seed: int, stream: Stream) -> NDArray[np.float32]:
        return np.concatenate([*evaluation_batches(images, batch_size, "dynamic", seed, stream).as_numpy_iterator()])

    reference = drawn(30, 0, Stream.VALIDATION_BINARIZATION)
    assert np.array_equal(drawn(7, 0, Stream.VALIDATION_BINARIZATION), reference)
    assert not np.array_equal(drawn(30, 1, Stream.VALIDATION_BINARIZATION), reference)
    assert not np.array_equal(drawn(30, 0, Stream.TEST_BINARIZATION), reference)
    plain = np.concatenate([*evaluation_batches(images, 7, "none", 0, Stream.TEST_BINARIZATION).as_numpy_iterator()])
    assert plain == pytest.approx(images / 255)


def test_evaluation_repeats_itself() -> None:
    batches = evaluation_batches(distinct(), 16, "dynamic", 0, Stream.TEST_BINARIZATION)
    assert all(np.array_equal(*pair) for pair in zip(batches, batches, strict=True))
