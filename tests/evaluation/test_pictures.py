"""Reconstructions and samples as PNG files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from numpy.typing import NDArray

from vae import VAE
from vae.errors import NonFiniteError
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


def test_pictures_of_nan_are_not_drawn(make_vae: MakeVAE, images: NDArray[np.float32], tmp_path: Path) -> None:
    vae = make_vae()
    for weight in vae.decoder.trainable_variables:
        weight.assign(np.full(weight.shape, np.nan))
    with pytest.raises(NonFiniteError, match="the reconstructions have pixels that are NaN or infinite"):
        save_pictures(vae, images, tmp_path, seed=0)
    assert not list(tmp_path.iterdir())
