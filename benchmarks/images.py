"""The images on which every contender trains."""

import numpy as np
from numpy.typing import NDArray


def digit_images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return scikit-learn's digits at three times their size, randomly placed on 28x28 pixels: `(count, 28, 28, 1)`."""
    from sklearn.datasets import load_digits

    digits = np.kron(load_digits().images * (255 / 16), np.ones((3, 3))).astype(np.uint8)
    generator = np.random.default_rng(seed)
    which = generator.integers(len(digits), size=count)
    tops, lefts = generator.integers(5, size=(2, count))
    images = np.zeros((count, 28, 28, 1), np.uint8)
    for top, left in np.ndindex(5, 5):
        here = (tops == top) & (lefts == left)
        images[here, top : top + 24, left : left + 24, 0] = digits[which[here]]
    return images
