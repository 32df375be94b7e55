"""Any image set of TensorFlow Datasets (TFDS) as three disjoint splits, in memory or on disk."""

import errno
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from vae.data.preparation import prepared_builder, root_folder
from vae.data.source import CHANNELS, READ_AT_A_TIME, Binarization, DataSource, Split
from vae.data.stored_images import Images, StoredImages, store_images
from vae.errors import UserError, printable
from vae.options import NonNegativeFloat, PositiveInt, Shape

GIBIBYTE = 2**30
_SMALLEST_WEIGHT, _LARGEST_WEIGHT = 1e-20, 1e20  # of the largest weight of an image


class ExampleRange(NamedTuple):
    """Consecutive examples of one of TFDS's splits.

    Attributes:
        split: TFDS's name of the split.
        start: index of the first example.
        stop: index after the last one.
    """

    split: str
    start: int
    stop: int

    @property
    def instruction(self) -> str:
        """The range in TFDS's notation, such as "train[10:20]"."""
        return f"{self.split}[{self.start}:{self.stop}]"


class ImageSource(DataSource):
    """A data set of TFDS, whose images are read when a split is first used, and kept as uint8.

    A validation or test split that TFDS does not have is cut from the end of its train split, so that no example is in
    two splits. A split that is larger than `memory_limit` stays on disk: it is unpacked once to a file, from which
    batches are read.

    Args:
        name: name of the data set in TFDS, or "digits".
        dir: folder of prepared data sets; None for TFDS's own default.
        manual_dir: folder with the original files of the data set, to prepare it without a network.
        shape: (height, width, channels) to resize the images to, to grey if channels is 1; None for their own shape.
        invert: swap black and white.
        validation_size: number of training images to cut off as the validation split; None for a tenth.
        take: largest number of images of each split to use; None for all.
        memory_limit: size in GiB up to which a split is held in memory.
        unpacked_dir: folder to unpack larger splits to; None for `unpacked` in the folder of prepared data sets.
        weights: .npy file with a weight for each training image, in their order; None for equal weights.
        binarization: "none" keeps grey levels, "threshold" cuts at 1/2, "dynamic" draws each pixel anew every epoch.

    Raises:
        UserError: if the data set is unknown, has no images of one shape or of 1, 3 or 4 channels, cannot be prepared
            or is too small; if the file of weights cannot be read or does not hold one finite, non-negative number for
            each training image.
    """

    def __init__(
        self,
        name: str,
        dir: str | None = None,
        manual_dir: str | None = None,
        shape: Shape | None = None,
        invert: bool = False,
        validation_size: PositiveInt | None = None,
        take: PositiveInt | None = None,
        memory_limit: NonNegativeFloat = 4.0,
        unpacked_dir: str | None = None,
        weights: str | None = None,
        binarization: Binarization = "dynamic",
    ) -> None:
        super().__init__(binarization)
        self.name = name
        self._shape = tuple(shape) if shape else None
        self._invert = invert
        self._validation_size = validation_size
        self._take = take
        self._memory_limit = memory_limit
        self._unpacked_dir = unpacked_dir
        self._weights_path = weights
        self._builder = prepared_builder(name, dir, manual_dir)

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        own = self._builder.info.features["image"].shape
        if own[-1] not in (*CHANNELS, None):
            raise UserError(f"data.name={self.name}: its images have {own[-1]} channels; store them with 1, 3 or 4")
        shape = self._shape or own
        if len(shape) != 3 or None in shape:
            raise UserError(f"data.name={self.name}: its images differ in shape; give data.shape, such as [28,28,1]")
        if shape[2] != own[-1] and (shape[2], own[-1]) != (1, 3):
            height, width, channels = shape
            raise UserError(
                f"data.shape=[{height},{width},{channels}]: the images of {self.name} have {own[-1]} channels, and "
                f"only three can become one; choose data.shape=[{height},{width},{own[-1]}]"
            )
        return shape[0], shape[1], shape[2]

    @cached_property
    def weights(self) -> NDArray[np.float32] | None:
        """Weights of the training images, `(n,)`, read from their file on first use, or None if all count the same."""
        return None if self._weights_path is None else _load_weights(self._weights_path, self.size("train"))

    def size(self, split: Split) -> int:
        """Return the number of images in a split, without reading them."""
        examples = self.ranges()[split]
        return examples.stop - examples.start

    def ranges(self) -> dict[str, ExampleRange]:
        """Return the examples of TFDS that make up each split: "train", "validation" and "test"."""
        sizes = {name: info.num_examples for name, info in self._builder.info.splits.items()}
        if "train" not in sizes:
            raise UserError(f"data.name={self.name}: has no train split, only {', '.join(sizes)}")
        ranges = {}
        end = sizes["train"]
        lengths = {"test": sizes["train"] // 10, "validation": self._validation_size or sizes["train"] // 10}
        for split, length in lengths.items():
            if split in sizes:
                ranges[split] = ExampleRange(split, 0, sizes[split])
            else:
                ranges[split] = ExampleRange("train", end - length, end)
                end -= length
        if end < 1 and self._validation_size:
            raise UserError(
                f"data.validation_size={self._validation_size}: leaves none of the {sizes['train']} training images of "
                f"{self.name}"
            )
        ranges["train"] = ExampleRange("train", 0, end)
        for split in ("train", "validation"):
            if ranges[split].start == ranges[split].stop:
                raise UserError(
                    f"data.name={self.name}: has {sizes[ranges[split].split]} images in its {ranges[split].split} "
                    f"split, which leaves none for {split}; it needs more, or for validation data.validation_size=1"
                )
        if self._take is None:
            return ranges
        return {
            split: ExampleRange(name, start, min(stop, start + self._take))
            for split, (name, start, stop) in ranges.items()
        }

    def labels(self, split: Split, count: int) -> list[str] | None:
        """Return the class names of the first `count` images of a split, or None if TFDS has no feature "label"."""
        features = self._builder.info.features
        if "label" not in features or not isinstance(features["label"], tfds.features.ClassLabel):
            return None
        name, start, stop = self.ranges()[split]
        dataset = self._builder.as_dataset(
            split=ExampleRange(name, start, min(stop, start + count)).instruction,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
        )
        numbers = [int(example["label"]) for example in dataset.as_numpy_iterator()]
        return ["unlabelled" if number < 0 else features["label"].int2str(number) for number in numbers]

    def read_split(self, split: Split) -> Images:
        """Return the images of a split, in memory if it is not larger than `memory_limit`."""
        shape = (self.size(split), *self.image_shape)
        if math.prod(shape) > self._memory_limit * GIBIBYTE:
            return self._unpacked(split, shape)
        images, first = np.empty(shape, np.uint8), 0
        for portion in self._portions(split):
            images[first : first + len(portion)] = portion
            first += len(portion)
        return images

    def _unpacked(self, split: Split, shape: tuple[int, ...]) -> StoredImages:
        path = self._unpacked_path(split)
        console = Console()
        portions = track(
            self._portions(split),
            escape(f"unpacking {split} to {printable(str(path))}"),
            math.ceil(shape[0] / READ_AT_A_TIME),
            console=console,
            disable=not console.is_terminal,
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                if shutil.disk_usage(path.parent).free < math.prod(shape):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # now, and not when the disk is full
                store_images(path, shape, portions)
        except OSError as error:
            raise UserError(
                f"data.unpacked_dir={self._unpacked_dir}: the {split} split does not fit into data.memory_limit="
                f"{self._memory_limit} GiB, and unpacking it to {path.parent} failed ({error.strerror}); name a folder "
                f"with {math.prod(shape) / GIBIBYTE:.1f} GiB free, or raise data.memory_limit"
            ) from error
        return StoredImages(path)

    def _unpacked_path(self, split: Split) -> Path:
        name, start, stop = self.ranges()[split]
        folder = Path(self._unpacked_dir) if self._unpacked_dir else root_folder(self._builder) / "unpacked"
        version = "-".join(Path(self._builder.info.full_name).parts[1:])  # after the configuration, if there is one
        size = "x".join(map(str, self.image_shape)) + ("-inverted" if self._invert else "")
        return folder / self._builder.name / f"{version}-{name}-{start}-{stop}-{size}.npy"

    def _portions(self, split: Split) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of a split in order, some at a time, scaled to 0 to 255."""
        for number, portion in enumerate(self._stored_portions(split)):
            if number == 0:
                scale = np.uint8(255 if portion.max() <= 1 and self._is_of_zeros_and_ones else 1)
            yield 255 - portion * scale if self._invert else portion * scale

    @cached_property
    def _is_of_zeros_and_ones(self) -> bool:
        """True if no training image has another value, as binarized_mnist is stored."""
        return all(portion.max() <= 1 for portion in self._stored_portions("train"))

    def _stored_portions(self, split: Split) -> Iterator[NDArray[np.uint8]]:
        """Yield the images of a split as TFDS has them, resized.

        Raises:
            UserError: if a file is missing or damaged, or has fewer images than TFDS's records say.
        """
        try:
            dataset = self._builder.as_dataset(split=self.ranges()[split].instruction, shuffle_files=False)
            dataset = dataset.map(self._resized, num_parallel_calls=tf.data.AUTOTUNE)
            yield from dataset.batch(READ_AT_A_TIME).prefetch(1).as_numpy_iterator()
        except (tf.errors.OpError, OSError, AssertionError) as error:  # the last is TFDS's, of a missing folder
            folder = self._builder.data_dir
            raise UserError(
                f"data.name={self.name}: {folder} is missing or damaged; remove it, to prepare it again"
            ) from error

    @tf.autograph.experimental.do_not_convert
    def _resized(self, example: Mapping[str, tf.Tensor]) -> tf.Tensor:
        image = example["image"]
        if self._shape:
            height, width, channels = self._shape
            if channels == 1 and image.shape[-1] == 3:
                image = tf.image.rgb_to_grayscale(image)
            resized = tf.image.resize(image, [height, width], method="area")
            image = tf.cast(tf.round(resized), tf.uint8)
        return tf.ensure_shape(image, self.image_shape)


def _load_weights(path: str, count: int) -> NDArray[np.float32]:
    option, expected = f"data.weights={path}", f"a .npy file of {count} numbers of 0 or more"
    try:
        if (size := Path(path).stat().st_size) > 16 * count + 4096:
            raise ValueError(f"it has {size} bytes")  # too many to be read into memory
        weights = np.load(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{option}: cannot be read ({error}); it must be {expected}") from None
    if weights.shape != (count,) or weights.dtype.kind not in "fiub":
        raise UserError(f"{option}: holds {weights.dtype} {weights.shape}; it must be {expected}")
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise UserError(f"{option}: has NaN, infinite or negative weights, or only zeros; it must be {expected}")
    if not _SMALLEST_WEIGHT <= weights.max() <= _LARGEST_WEIGHT:
        raise UserError(
            f"{option}: its largest weight is {weights.max():g}; it must be {expected}, the largest of them between "
            f"{_SMALLEST_WEIGHT:g} and {_LARGEST_WEIGHT:g}, so that sums in float32 are finite"
        )
    return np.asarray(weights, np.float32)
