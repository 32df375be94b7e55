"""Equally spaced grey levels, and the values that an image of 8 bits stores them as."""

import numpy as np
from numpy.typing import NDArray

MOST_LEVELS = 256
#: Of more levels, neighbours are 1 or 2 apart in 8 bits: images of all 256 values that happen to lack a few would pass
_MOST_COARSE_LEVELS = 128


def stored_levels(count: int) -> NDArray[np.uint8]:
    """Return `count` equally spaced levels from black to white as stored: 255 k / (count - 1), rounded to integers."""
    return np.round(np.arange(count) * 255 / (count - 1)).astype(np.uint8)


def are_on_levels(values: NDArray[np.uint8], count: int) -> bool:
    """Return True if every value is one of `count` equally spaced levels."""
    return bool(np.isin(values, stored_levels(count)).all())


def smallest_count(values: NDArray[np.uint8]) -> int:
    """Return the smallest number of equally spaced levels that has every value: 2 to 128, or the 256 of 8 bits."""
    return next((count for count in range(2, _MOST_COARSE_LEVELS + 1) if are_on_levels(values, count)), MOST_LEVELS)
