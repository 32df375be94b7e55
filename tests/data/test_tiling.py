"""Images in a grid."""

import numpy as np

from vae.data.tiling import tile


def test_images_are_arranged_row_by_row_between_white_lines() -> None:
    images = np.stack([np.full((1, 2, 1), value, np.float32) for value in (0.1, 0.2, 0.3)])
    one = 1.0
    expected = [
        [one, one, one, one, one, one, one],
        [one, 0.1, 0.1, one, 0.2, 0.2, one],
        [one, one, one, one, one, one, one],
        [one, 0.3, 0.3, one, one, one, one],
        [one, one, one, one, one, one, one],
    ]
    assert np.array_equal(tile(images, columns=2)[..., 0], np.array(expected, np.float32))
