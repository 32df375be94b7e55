"""Images that stay on disk, for splits that do not fit in memory."""

import os
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vae.errors import UserError
from vae.runs.files import atomic_path


class StoredImages:
    """The images of a .npy file, uint8, `(n, height, width, channels)`, of which only the requested ones are read.

    Reads bypass the page tables (`os.pread` instead of a memory map), so that the memory of the process does not grow
    with the file.

    Args:
        path: the file.
        rows: the range of its images to use; None for all.

    Raises:
        UserError: if the file does not hold uint8 images of four dimensions in C order, as many as it says.
    """

    def __init__(self, path: Path, rows: range | None = None) -> None:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
            self._start = file.tell()
            # Open until the end: a file that is deleted under way stays readable
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        if dtype != np.uint8 or len(shape) != 4 or fortran_order:
            expected = "uint8 (n, height, width, channels) in C order"
            raise UserError(f"{path}: holds {dtype} {shape}; it must hold {expected}")
        if os.fstat(self._file).st_size != self._start + np.prod(shape):
            raise UserError(f"{path}: is damaged, it does not have the {shape[0]} images that it says; remove it")
        self._path = path
        self._rows = range(shape[0]) if rows is None else rows
        self.shape = (len(self._rows), *shape[1:])
        self._image_bytes = int(np.prod(shape[1:]))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._rows)

    def __getitem__(self, rows: slice) -> "StoredImages":
        """Return consecutive images, still on disk."""
        return StoredImages(self._path, self._rows[rows])

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the images at these indices, in memory: `(len(indices), height, width, channels)`."""
        size = self._image_bytes
        positions = self._start + (np.asarray(indices, np.int64) + self._rows.start) * size
        content = b"".join(os.pread(self._file, size, position) for position in positions.tolist())
        return np.frombuffer(content, np.uint8).reshape(len(indices), *self.shape[1:])


Images = NDArray[np.uint8] | StoredImages


def store_images(path: Path, shape: tuple[int, ...], portions: Iterable[NDArray[np.uint8]]) -> None:
    """Write images to a .npy file that `StoredImages` reads. A file that exists is replaced once all are written.

    Args:
        path: the file.
        shape: `(n, height, width, channels)`.
        portions: the images in order, some at a time.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for portion in portions:
            file.write(portion.tobytes())
