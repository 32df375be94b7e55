"""Many images as one."""

import numpy as np
from numpy.typing import NDArray


def tile(images: NDArray[np.float32], columns: int, gap: int = 1) -> NDArray[np.float32]:
    """A grid of images `(n, height, width, channels)`, row by row, with white lines between them.

    Returns:
        One image `(rows * (height + gap) + gap, columns * (width + gap) + gap, channels)`.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    grid = np.ones((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), np.float32)
    for index, image in enumerate(images):
        top, left = gap + index // columns * (height + gap), gap + index % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid
