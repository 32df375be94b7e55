"""The number of grey levels is read from the training images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vae.data import DataSource, Images, ImageSource, Split, StoredImages
from vae.data.source import READ_AT_A_TIME


class FromArray(DataSource):
    """One array for every split."""

    def __init__(self, images: Any) -> None:
        super().__init__("none")
        self.images = images

    def read_split(self, split: Split) -> Images:
        return self.images


def images_of(values: Any, count: int = 100) -> NDArray[np.uint8]:
    """Small images that have every value, the first of them in the last image only."""
    values = np.asarray(values, np.uint8)
    images = np.full((count, 2, 128, 1), values[-1], np.uint8)
    images[-1].flat[: len(values)] = values
    return images


def test_the_digits_have_seventeen_levels(tmp_path: Path) -> None:
    source = ImageSource("digits", dir=str(tmp_path), binarization="none")
    assert source.grey_levels == 17
    assert source.has_grey_levels(17)
    assert not source.has_grey_levels(16)
    assert source.has_grey_levels(256)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([0, 255], 2),
        ([0], 2),
        ([0, 128, 255], 3),
        ([0, 85, 170, 255], 4),
        ([0, 16, 255], 17),  # not every level need occur
        ([0, 1, 255], 256),
        (range(256), 256),
        (range(255), 256),  # 255 levels have them, too, but no image is stored on 255 levels
    ],
)
def test_the_smallest_number_of_levels_with_every_value(values: Any, levels: int) -> None:
    assert FromArray(images_of(values)).grey_levels == levels


def test_a_value_in_the_last_image_counts(tmp_path: Path) -> None:
    """Images that are read in portions, in memory and on disk."""
    images = images_of([0, 51, 255], READ_AT_A_TIME + 10)
    np.save(tmp_path / "images.npy", images)
    assert FromArray(images[:-1]).grey_levels == 2
    assert FromArray(images).grey_levels == 6
    assert FromArray(StoredImages(tmp_path / "images.npy")).grey_levels == 6
