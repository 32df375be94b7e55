"""Reconstructions and samples of a model, as PNG files."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vae.data.tiling import tile
from vae.errors import NonFiniteError
from vae.model import VAE
from vae.runs.files import atomic_path

COLUMNS = 10
ROWS = 5


def save_pictures(model: VAE, images: NDArray[np.float32], directory: Path, seed: int) -> list[Path]:
    """Write reconstructions.png, each image above its reconstruction, and samples.png, drawn from the prior.

    Args:
        model: a VAE.
        images: `(n, height, width, channels)` in [0, 1]; at most the first fifty are drawn.
        directory: the folder to write to.
        seed: seed of the samples.

    Returns:
        The paths of the files.

    Raises:
        NonFiniteError: if a pixel is not finite. Nothing is written then.
    """
    columns = min(COLUMNS, len(images))
    originals = np.asarray(images[: min(ROWS, len(images) // columns) * columns])
    reconstructions = finite("the reconstructions", model.reconstruct(originals))
    rows = [
        part[first : first + columns]
        for first in range(0, len(originals), columns)
        for part in (originals, reconstructions)
    ]
    samples = finite("the samples", model.sample(columns * ROWS, seed))
    paths = [directory / "reconstructions.png", directory / "samples.png"]
    _save_grid(paths[0], "Odd rows: images. Even rows: their reconstructions", np.concatenate(rows), columns)
    _save_grid(paths[1], "E[x|z] for z from the prior", samples, columns)
    return paths


def finite(what: str, images: Any) -> NDArray[np.float32]:
    """Return images as an array; raise a NonFiniteError if a pixel, which a picture would leave out, is not finite."""
    array = np.asarray(images)
    if not np.isfinite(array).all():
        raise NonFiniteError(f"{what} have pixels that are NaN or infinite; try a smaller optimizer.learning_rate")
    return array


def _save_grid(path: Path, title: str, images: NDArray[np.float32], columns: int) -> None:
    grid = tile(images, columns)
    figure = Figure(figsize=(7, 0.5 + 7 * grid.shape[0] / grid.shape[1]), layout="constrained")
    axes = figure.subplots()
    axes.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.axis("off")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
