"""Batches against NumPy: scaling, thresholds and draws that are functions of seed, step and index."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from vae.data import evaluation_batches, training_images
from vae.random import Stream


def test_batches_are_float_images_in_the_unit_interval() -> None:
    images = np.arange(50, dtype=np.uint8).reshape(-1, 1, 1, 1)
    batch = training_images(tf.constant(images), "none", 0, 0).numpy()
    assert batch.dtype == np.float32
    assert batch.ravel() == pytest.approx(np.arange(50) / 255)


def test_dynamic_binarization_draws_pixels_anew_every_step() -> None:
    images = tf.fill([40, 25, 25, 1], tf.constant(51, tf.uint8))  # 51 / 255 = 0.2
    first, second = (training_images(images, "dynamic", 0, step).numpy() for step in (0, 1))
    assert set(np.unique(first)) == {0.0, 1.0}
    error = np.sqrt(0.2 * 0.8 / first.size)
    assert abs(first.mean() - 0.2) < 4 * error  # four standard errors
    # Two independent draws agree if both are 0 or both are 1: 0.64 + 0.04 of the pixels
    assert abs(np.mean(first == second) - 0.68) < 4 * np.sqrt(0.68 * 0.32 / first.size)
    assert np.array_equal(training_images(images, "dynamic", 0, 1), second)


def test_threshold_binarization_cuts_at_one_half() -> None:
    images = np.array([0, 127, 128, 255], np.uint8).reshape(4, 1, 1, 1)
    batches = evaluation_batches(images, 4, "threshold", 0, Stream.TEST_BINARIZATION)
    assert next(iter(batches)).numpy().ravel().tolist() == [0.0, 0.0, 1.0, 1.0]


def test_evaluation_draws_depend_on_seed_and_stream_but_not_on_the_batch_size() -> None:
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
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 6, 1), dtype=np.uint8)
    batches = evaluation_batches(images, 16, "dynamic", 0, Stream.TEST_BINARIZATION)
    assert all(np.array_equal(*pair) for pair in zip(batches, batches, strict=True))
