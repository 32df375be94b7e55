"""Order and binarization: functions of seed, epoch and place."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from vae.data import evaluation_batches, training_batches
from vae.noise import Stream


def distinct(count: int = 50) -> NDArray[np.uint8]:
    """Images of one pixel each, all different: the pixel says which image it is."""
    return np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)


def epochs(images: NDArray[np.uint8], number: int, *, seed: int = 0, first_epoch: int = 0) -> list[list[int]]:
    """Which images come in each of the first epochs, in order."""
    steps = math.ceil(len(images) / 16)
    batches = training_batches(images, 16, "none", seed, first_epoch)
    shown = [np.round(batch.numpy().ravel() * 255).astype(int) for batch in itertools.islice(batches, number * steps)]
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
    batches = training_batches(distinct(), 16, "none", 0)
    shapes = [batch.shape for batch in itertools.islice(batches, 4)]
    assert [shape[0] for shape in shapes] == [16, 16, 16, 2]
    first = next(iter(batches)).numpy()
    assert first.dtype == np.float32
    assert first.max() <= 49 / 255 + 1e-6


def test_dynamic_binarization_draws_each_pixel_with_its_grey_value_anew_every_epoch() -> None:
    images = np.full((40, 25, 25, 1), 51, np.uint8)  # 51 / 255 = 0.2
    batches = training_batches(images, 40, "dynamic", 0)
    first, second = (batch.numpy() for batch in itertools.islice(batches, 2))
    assert set(np.unique(first)) == {0.0, 1.0}
    error = np.sqrt(0.2 * 0.8 / first.size)
    assert abs(first.mean() - 0.2) < 4 * error  # four standard errors
    # An independent draw agrees where both are 0 or both are 1: 0.64 + 0.04 of the pixels
    assert abs(np.mean(first == second) - 0.68) < 4 * np.sqrt(0.68 * 0.32 / first.size)


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
