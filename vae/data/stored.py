"""Images that stay on disk: what an array is for those that fit in memory."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class StoredImages:
    """The images of a .npy file, uint8, `(n, height, width, channels)`; only what is asked for is read.

    Reads go past the page tables (`os.pread`, no memory map), so the process stays as small as what it holds.

    Args:
        path: the file.
        rows: which of its images these are, one range; None for all.
    """

    def __init__(self, path: Path, rows: range | None = None) -> None:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
            self._start = file.tell()
        self._path = path
        self._rows = range(shape[0]) if rows is None else rows
        self.shape = (len(self._rows), *shape[1:])
        self._image_bytes = int(np.prod(shape[1:]))

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._rows)

    def __getitem__(self, rows: slice) -> "StoredImages":
        """Consecutive images, still on disk."""
        return StoredImages(self._path, self._rows[rows])

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """These images in memory: `(len(indices), height, width, channels)`."""
        size = self._image_bytes
        places = self._start + (np.asarray(indices, np.int64) + self._rows.start) * size
        file = os.open(self._path, os.O_RDONLY)
        try:
            content = b"".join(os.pread(file, size, place) for place in places.tolist())
        finally:
            os.close(file)
        return np.frombuffer(content, np.uint8).reshape(len(indices), *self.shape[1:])
