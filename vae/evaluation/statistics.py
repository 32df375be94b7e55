"""Means over images and their standard errors."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_and_error(name: str, values: NDArray[np.floating]) -> dict[str, Any]:
    """Return the mean of a quantity over images, and its standard error under the name with `_error`.

    The error is the standard deviation over the images divided by the square root of their number: how far the mean may
    be from that over all images of the same kind. One image has none: it is None.

    Args:
        name: the name of the quantity.
        values: its value for each image, `(images,)`.
    """
    error = float(np.std(values, ddof=1, dtype=np.float64)) / math.sqrt(len(values)) if len(values) > 1 else None
    return {name: float(np.mean(values, dtype=np.float64)), f"{name}_error": error}
