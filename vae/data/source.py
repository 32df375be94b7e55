"""The base class of every data set, the project's and a user's."""

import abc
from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vae.data.levels import MOST_LEVELS, are_on_levels, smallest_count
from vae.data.stored_images import Images, StoredImages
from vae.errors import UserError
from vae.options import checked

Split = Literal["train", "validation", "test"]
Binarization = Literal["none", "threshold", "dynamic"]

READ_AT_A_TIME = 1024
CHANNELS = (1, 3, 4)  # TensorFlow decodes no others: not grey with transparency, which TFDS stores


class DataSource(abc.ABC):
    """A data set: three disjoint splits of images, and what training and evaluation need to know about them.

    A subclass implements `read_split`; everything else has a default::

        class MyImages(DataSource):
            def __init__(self, path: str, binarization: Binarization = "none") -> None:
                super().__init__(binarization)
                self.path = path

            def read_split(self, split: Split) -> Images:
                return np.load(f"{self.path}/{split}.npy")

    `python train.py data._target_=my_module.MyImages` then trains on it. The constructor of a subclass checks its
    arguments against its annotations (`vae.options`).

    Args:
        binarization: "none" keeps grey levels, x / 255; "threshold" gives 1 if x / 255 >= 0.5, else 0; "dynamic" draws
            each pixel anew every epoch, 1 with probability x / 255 (Salakhutdinov and Murray 2008).
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = checked(vars(cls)["__init__"])  # type: ignore[method-assign]

    @checked
    def __init__(self, binarization: Binarization = "none") -> None:
        self.binarization: Binarization = binarization

    @abc.abstractmethod
    def read_split(self, split: Split) -> Images:
        """Return the images of a split, uint8 from 0 to 255, `(n, height, width, channels)`.

        It is called once for each split that is used.

        Args:
            split: "train", "validation" or "test".
        """

    @cached_property
    def train(self) -> Images:
        """Training images, `(n, height, width, channels)`."""
        return self._read_valid("train")

    @cached_property
    def validation(self) -> Images:
        """Validation images, `(n, height, width, channels)`."""
        return self._read_valid("validation")

    @cached_property
    def test(self) -> Images:
        """Test images, `(n, height, width, channels)`."""
        return self._read_valid("test")

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.train.shape[1:]
        return height, width, channels

    @cached_property
    def weights(self) -> NDArray[np.float32] | None:
        """Weights of the training images, `(n,)`, or None if all count the same. Only training asks for them."""
        return None

    def size(self, split: Split) -> int:
        """Return the number of images in a split."""
        return len(getattr(self, split))

    def labels(self, split: Split, count: int) -> list[str] | None:
        """Return the names of the classes of the first `count` images of a split, or None if they are not known."""
        return None

    def mean_image(self) -> NDArray[np.float32]:
        """Return the mean of the training images in [0, 1], `(height, width, channels)`."""
        total = np.zeros(self.image_shape, np.int64)
        for portion in self._training_portions():
            total += np.sum(portion, axis=0, dtype=np.int64)
        return np.asarray(total / (255.0 * len(self.train)), np.float32)

    @cached_property
    def grey_levels(self) -> int:
        """The smallest number of equally spaced levels with every value of the training images, up to 128, or 256."""
        return smallest_count(self._values)

    def has_grey_levels(self, count: int) -> bool:
        """Return True if `count` equally spaced grey levels have every value of the training images."""
        return are_on_levels(self._values, count)

    @cached_property
    def _values(self) -> NDArray[np.uint8]:
        """Distinct values of the training images: all, or as many as only 256 levels have."""
        values = np.empty(0, np.uint8)
        for portion in self._training_portions():
            values = np.union1d(values, portion)
            if smallest_count(values) == MOST_LEVELS:
                break
        return values

    def _training_portions(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the training images in order, some at a time, in memory."""
        for first in range(0, len(self.train), READ_AT_A_TIME):
            portion = self.train[first : first + READ_AT_A_TIME]
            yield portion.read(np.arange(len(portion))) if isinstance(portion, StoredImages) else portion

    def _read_valid(self, split: Split) -> Images:
        images = self.read_split(split)
        if isinstance(images, StoredImages):
            return images
        found = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or not images.size:
            raise UserError(
                f"data: the {split} split of {type(self).__name__} is {found}; "
                "it must be a uint8 array (n, height, width, channels) with at least one image"
            )
        if images.shape[-1] not in CHANNELS:
            raise UserError(
                f"data: the images of {type(self).__name__} have {images.shape[-1]} channels; give them 1, 3 or 4, "
                "which can be shown"
            )
        return images
