"""A data set of the user's own: a few lines, with defaults and checks from the base class."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vae.data import Binarization, DataSource, Images, Split, StoredImages
from vae.errors import UserError
from vae.options import PositiveInt

SIZES = {"train": 20, "validation": 5, "test": 6}


class Noise(DataSource):
    """As a user would write it."""

    def __init__(self, side: PositiveInt = 4, binarization: Binarization = "threshold") -> None:
        super().__init__(binarization)
        self.side = side

    def read_split(self, split: Split) -> Images:
        shape = (SIZES[split], self.side, self.side, 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


class FromArrays(DataSource):
    """Whatever the test gives; the constructor is the base's."""

    arrays: Any = None

    def read_split(self, split: Split) -> Images:
        return self.arrays


def test_everything_else_has_a_default() -> None:
    source = Noise(side=7)
    assert source.image_shape == (7, 7, 3)
    assert {split: source.size(split) for split in ("train", "validation", "test")} == SIZES
    assert source.mean_image() == pytest.approx(source.train.mean(axis=0) / 255, abs=1e-6)
    assert source.train is source.train, "a split is read once"
    assert source.labels("test", 3) is None
    assert source.weights is None
    assert source.binarization == "threshold"
    assert FromArrays().binarization == "none"
    assert FromArrays("dynamic").binarization == "dynamic"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"side": 0}, "side=0"),
        ({"side": "4"}, "side=4"),
        ({"binarization": "maybe"}, "binarization=maybe: .*'dynamic'"),
    ],
)
def test_arguments_are_checked_by_their_annotations(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Noise(**options)
    with pytest.raises(UserError, match="binarization=maybe"):
        FromArrays("maybe")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "images",
    [np.zeros((3, 4, 4, 1)), np.zeros((3, 4, 4), np.uint8), np.zeros((0, 4, 4, 1), np.uint8), [1, 2], None],
    ids=["float", "no_channels", "empty", "list", "none"],
)
def test_images_that_cannot_be_used_are_reported(images: Any) -> None:
    source = FromArrays()
    source.arrays = images
    with pytest.raises(UserError, match=r"data: the test split of FromArrays is .* uint8 array"):
        source.test  # noqa: B018


def test_images_that_no_picture_can_show_are_refused() -> None:
    source = FromArrays()
    source.arrays = np.zeros((3, 4, 4, 5), np.uint8)
    with pytest.raises(UserError, match="data: the images of FromArrays have 5 channels; give them 1, 3 or 4"):
        source.test  # noqa: B018


def test_images_on_disk(tmp_path: Path) -> None:
    images: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (2500, 2, 2, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    source = FromArrays()
    source.arrays = StoredImages(tmp_path / "images.npy")
    assert source.size("train") == 2500
    assert source.image_shape == (2, 2, 1)
    assert source.mean_image() == pytest.approx(images.mean(axis=0) / 255, abs=1e-6)
