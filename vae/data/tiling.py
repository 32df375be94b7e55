"""Several images arranged in one."""

import numpy as np
from numpy.typing import NDArray


def tile(images: NDArray[np.float32], columns: int, gap: int = 1) -> NDArray[np.float32]:
    """Arrange images in a grid, row by row, separated by white lines.

    Args:
        images: `(n, height, width, channels)` in [0, 1].
        columns: number of images in a row.
        gap: width of the lines, in pixels.

    Returns:
        One image, `(rows * (height + gap) + gap, columns * (width + gap) + gap, channels)`. Places after the last
        image are white.
    """
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    grid = np.ones((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), np.float32)
    for index, image in enumerate(images):
        top, left = gap + index // columns * (height + gap), gap + index % columns * (width + gap)
        grid[top : top + height, left : left + width] = image
    return grid
