"""Images on disk."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vae.data import StoredImages


@pytest.fixture
def stored(tmp_path: Path) -> tuple[NDArray[np.uint8], StoredImages]:
    images = np.random.default_rng(0).integers(0, 256, (110, 5, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    return images, StoredImages(tmp_path / "images.npy")
