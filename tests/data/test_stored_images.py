"""Images on disk against the array that was saved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vae.data import StoredImages
from vae.errors import UserError


def test_images_are_those_of_the_array(stored: tuple[NDArray[np.uint8], StoredImages]) -> None:
    images, on_disk = stored
    assert on_disk.shape == images.shape
    assert np.array_equal(on_disk.read(np.array([3, 0, 109])), images[[3, 0, 109]])
    part = on_disk[10:60][5:]
    assert len(part) == 45
    assert np.array_equal(part.read(np.arange(45)), images[15:60])


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 3, 1), "f4"),
        np.zeros((2, 3, 3), np.uint8),
        np.asfortranarray(np.zeros((2, 3, 3, 2), "u1")),
    ],
    ids=["float", "three_dimensions", "fortran_order"],
)
def test_other_arrays_are_refused(array: NDArray[Any], tmp_path: Path) -> None:
    """Their bytes would be read as pixels."""
    np.save(tmp_path / "images.npy", array)
    with pytest.raises(UserError, match=r"images.npy: holds .*uint8 \(n, height, width, channels\)"):
        StoredImages(tmp_path / "images.npy")
