"""Reconstructions and samples as PNG files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from vae import VAE
from vae.evaluation import save_pictures

MakeVAE = Callable[..., VAE]


@pytest.mark.parametrize("count", [3, 24, 50])
def test_pictures_show_something(count: int, make_vae: MakeVAE, images: NDArray[np.float32], tmp_path: Path) -> None:
    paths = save_pictures(make_vae(), images[:count], tmp_path, seed=0)
    assert [path.name for path in paths] == ["reconstructions.png", "samples.png"]
    for path in paths:
        picture = imread(path)
        assert min(picture.shape[:2]) > 100
        assert np.ptp(picture) > 0.5
