"""What a model makes, as pictures."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vae.data.tiling import tile
from vae.model import VAE

COLUMNS = 10
ROWS = 5


def save_figures(model: VAE, images: NDArray[np.float32], directory: Path, seed: int) -> list[Path]:
    """Writes reconstructions.png, each image above its reconstruction, and samples.png, from the prior.

    Args:
        model: a VAE.
        images: `(n, height, width, channels)` in [0, 1]; the first fifty are shown.
        directory: where to.
        seed: of the samples.
    """
    columns = min(COLUMNS, len(images))
    originals = np.asarray(images[: min(ROWS, len(images) // columns) * columns])
    reconstructions = np.asarray(model.reconstruct(originals))
    rows = [
        part[first : first + columns]
        for first in range(0, len(originals), columns)
        for part in (originals, reconstructions)
    ]
    pictures = {
        "reconstructions": ("Odd rows: images. Even rows: their reconstructions", np.concatenate(rows)),
        "samples": ("E[x|z] for z from the prior", np.asarray(model.sample(columns * ROWS, seed))),
    }
    paths = []
    for name, (title, shown) in pictures.items():
        grid = tile(shown, columns)
        figure = Figure(figsize=(7, 0.5 + 7 * grid.shape[0] / grid.shape[1]), layout="constrained")
        axes = figure.subplots()
        axes.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(title, fontsize=10)
        axes.axis("off")
        paths.append(directory / f"{name}.png")
        figure.savefig(paths[-1], dpi=120)
    return paths
