"""Any image set of TensorFlow Datasets as three disjoint splits of uint8 images, in memory or on disk."""

import contextlib
import difflib
import logging
import math
import sys
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import requests
import tensorflow as tf
import tensorflow_datasets as tfds
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from tensorflow_datasets.core.download import downloader
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from vae.data import digits  # noqa: F401  (registers the builder)
from vae.data.batches import Images
from vae.data.stored import StoredImages
from vae.errors import UserError
from vae.runs.files import atomic_path

READ_AT_A_TIME = 1024
PREPARING_FAILED = (
    requests.exceptions.RequestException,
    tfds.download.DownloadError,
    NonMatchingChecksumError,
    OSError,
    AssertionError,  # TFDS's own way to say that a file is missing from manual_dir
)


class ImageSource:
    """One data set. Images are read when a split is first asked for, and kept as uint8.

    A split that TFDS does not have is cut from the end of its train split, so no example is in two of them. A split
    that is larger than `memory_limit` stays on disk: it is unpacked once into a file, from which batches are read.

    Args:
        name: the data set's name in TFDS, or "digits".
        dir: the folder of prepared data sets; None for TFDS's own default.
        manual_dir: a folder with the original files, for building without a network.
        shape: (height, width, channels) to resize to and, for one channel, to turn grey; None for the set's own.
        invert: whether to swap black and white.
        validation_size: how many training images become the validation split where TFDS has none; None for a tenth.
        take: how many images of each split to use at most; None for all.
        memory_limit: how large a split may be to be held in memory, in GiB of uint8.
        unpacked_dir: where larger ones are unpacked to; None for `unpacked` in the folder of prepared data sets.
        weights: a .npy file with a weight for each training image, in their order; None for equal weights.

    Raises:
        UserError: where the data set is unknown, is no image set of one shape, cannot be prepared, or is too small;
            where the file of weights cannot be read or has not as many finite numbers of 0 and above.

    Attributes:
        weights: those of the training images, `(n,)` float32, or None where all count the same.
    """

    def __init__(
        self,
        name: str,
        dir: str | None = None,
        manual_dir: str | None = None,
        shape: Sequence[int] | None = None,
        invert: bool = False,
        validation_size: int | None = None,
        take: int | None = None,
        memory_limit: float = 4.0,
        unpacked_dir: str | None = None,
        weights: str | None = None,
    ) -> None:
        self.name = name
        self._shape = tuple(shape) if shape else None
        self._invert = invert
        self._validation_size = validation_size
        self._take = take
        self._memory_limit = memory_limit
        self._unpacked_dir = unpacked_dir
        self._builder = _prepared_builder(name, dir, manual_dir)
        self.weights = None if weights is None else _weights(weights, self.size("train"))

    @cached_property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        shape = self._shape or self._builder.info.features["image"].shape
        if len(shape) != 3 or None in shape:
            raise UserError(f"data.name={self.name}: its images have no one shape; give data.shape=[28,28,1] or such")
        return shape[0], shape[1], shape[2]

    @cached_property
    def train(self) -> Images:
        """`(n, height, width, channels)`."""
        return self._read("train")

    @cached_property
    def validation(self) -> Images:
        """`(n, height, width, channels)`."""
        return self._read("validation")

    @cached_property
    def test(self) -> Images:
        """`(n, height, width, channels)`."""
        return self._read("test")

    def size(self, split: str) -> int:
        """How many images "train", "validation" or "test" has; nothing is read for it."""
        _, first, last = self.ranges()[split]
        return last - first

    def ranges(self) -> dict[str, tuple[str, int, int]]:
        """Where each of our splits lies: TFDS's split, the first example and the one past the last."""
        sizes = {name: info.num_examples for name, info in self._builder.info.splits.items()}
        if "train" not in sizes:
            raise UserError(f"data.name={self.name}: it has no train split, only {', '.join(sizes)}")
        ranges = {}
        end = sizes["train"]
        wanted = {"test": sizes["train"] // 10, "validation": self._validation_size or sizes["train"] // 10}
        for split, cut in wanted.items():
            if split in sizes:
                ranges[split] = (split, 0, sizes[split])
            else:
                ranges[split] = ("train", end - cut, end)
                end -= cut
        if end < 1:
            raise UserError(
                f"data.validation_size={self._validation_size}: {self.name} has only {sizes['train']} training images"
            )
        ranges["train"] = ("train", 0, end)
        if self._take is None:
            return ranges
        return {split: (name, first, min(last, first + self._take)) for split, (name, first, last) in ranges.items()}

    def labels(self, split: str, count: int) -> list[str] | None:
        """What the first `count` images of a split show, in words; None where TFDS has no feature "label"."""
        features = self._builder.info.features
        if "label" not in features or not isinstance(features["label"], tfds.features.ClassLabel):
            return None
        name, first, last = self.ranges()[split]
        dataset = self._builder.as_dataset(
            split=f"{name}[{first}:{min(last, first + count)}]",
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
        )
        numbers = [int(example["label"]) for example in dataset.as_numpy_iterator()]
        return ["unlabelled" if number < 0 else features["label"].int2str(number) for number in numbers]

    def mean_image(self) -> NDArray[np.float32]:
        """The mean of the training images, in [0, 1], `(height, width, channels)`."""
        total = np.zeros(self.image_shape, np.int64)
        for first in range(0, len(self.train), READ_AT_A_TIME):
            images = self.train[first : first + READ_AT_A_TIME]
            images = images.read(np.arange(len(images))) if isinstance(images, StoredImages) else images
            total += np.sum(images, axis=0, dtype=np.int64)
        return np.asarray(total / (255.0 * len(self.train)), np.float32)

    def _read(self, split: str) -> Images:
        shape = (self.size(split), *self.image_shape)
        if math.prod(shape) > self._memory_limit * 2**30:
            return self._unpacked(split, shape)
        images = np.empty(shape, np.uint8)
        for first, portion in self._portions(split):
            images[first : first + len(portion)] = portion
        return images

    def _unpacked(self, split: str, shape: tuple[int, ...]) -> StoredImages:
        name, first, last = self.ranges()[split]
        size = "x".join(map(str, self.image_shape)) + ("-inverted" if self._invert else "")
        root = Path(self._builder.data_dir_root)
        directory = (Path(self._unpacked_dir) if self._unpacked_dir else root / "unpacked") / self._builder.name
        path = directory / f"{Path(self._builder.data_dir).relative_to(root / self._builder.name)}".replace("/", "-")
        path = path.with_name(f"{path.name}-{name}-{first}-{last}-{size}.npy")
        console = Console()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                with atomic_path(path) as temporary, temporary.open("wb") as file:
                    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(file, header)
                    portions = math.ceil(shape[0] / READ_AT_A_TIME)
                    words, quiet = f"unpacking {split} to {path}", not console.is_terminal
                    for _, portion in track(self._portions(split), words, portions, console=console, disable=quiet):
                        file.write(portion.tobytes())
        except OSError as error:
            needed = math.prod(shape) / 2**30
            raise UserError(
                f"data.unpacked_dir={self._unpacked_dir}: the {split} split does not fit into data.memory_limit="
                f"{self._memory_limit} GiB, and unpacking it to {directory} failed ({error.strerror}); name a folder "
                f"with {needed:.1f} GiB free, or raise data.memory_limit"
            ) from error
        return StoredImages(path)

    def _portions(self, split: str) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The images of a split in order, a portion at a time: the place of its first image, and the portion."""
        name, first, last = self.ranges()[split]
        dataset = self._builder.as_dataset(split=f"{name}[{first}:{last}]", shuffle_files=False)
        dataset = dataset.map(lambda example: self._as_uint8(example["image"]), num_parallel_calls=tf.data.AUTOTUNE)
        place, binary = 0, False
        try:
            for portion in dataset.batch(READ_AT_A_TIME).prefetch(1).as_numpy_iterator():
                binary = portion.max() <= 1 if place == 0 else binary  # such as binarized_mnist: stored as 0 and 1
                yield place, portion * np.uint8(255) if binary else portion
                place += len(portion)
        except tf.errors.OpError as error:
            folder = self._builder.data_dir
            raise UserError(f"data.name={self.name}: {folder} is damaged; remove it to prepare it anew") from error

    def _as_uint8(self, image: tf.Tensor) -> tf.Tensor:
        if self._shape:
            height, width, channels = self._shape
            if channels == 1 and image.shape[-1] == 3:
                image = tf.image.rgb_to_grayscale(image)
            resized = tf.image.resize(image, [height, width], method="area")
            image = tf.cast(tf.round(resized), tf.uint8)
        image = tf.ensure_shape(image, self.image_shape)
        return 255 - image if self._invert else image


def _weights(path: str, count: int) -> NDArray[np.float32]:
    """The weights of `count` images from a .npy file."""
    option, wanted = f"data.weights={path}", f"a .npy file of {count} numbers of 0 and above"
    try:
        weights = np.load(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{option}: cannot be read ({error}); it must be {wanted}") from None
    if weights.shape != (count,) or weights.dtype.kind not in "fiub":
        raise UserError(f"{option}: holds {weights.dtype} {weights.shape}; it must be {wanted}")
    if not (np.isfinite(weights).all() and weights.min() >= 0 and weights.max() > 0):
        raise UserError(f"{option}: a weight is no number or below 0, or all are 0; it must be {wanted}")
    return np.asarray(weights, np.float32)


def _prepared_builder(name: str, directory: str | None, manual_dir: str | None) -> tfds.core.DatasetBuilder:
    for option, folder in (("data.dir", directory), ("data.manual_dir", manual_dir)):
        if folder is not None and not Path(folder).is_dir():
            raise UserError(f"{option}={folder}: there is no such folder")
    try:
        builder = tfds.builder(name, data_dir=directory)
    except tfds.core.DatasetNotFoundError:
        near = difflib.get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "tensorflow_datasets.list_builders() lists them all"
        raise UserError(f"data.name={name}: TensorFlow Datasets has no such data set; {hint}") from None
    features = builder.info.features
    named = features if isinstance(features, tfds.features.FeaturesDict) else {}
    if "image" not in named or not isinstance(named["image"], tfds.features.Image):
        raise UserError(f"data.name={name}: not an image set: it has no feature 'image'; try data=mnist")
    if not builder.is_prepared():
        _prepare(builder, manual_dir)
        builder = tfds.builder(name, data_dir=directory)
    return builder


def _prepare(builder: tfds.core.DatasetBuilder, manual_dir: str | None) -> None:
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    root = Path(builder.data_dir_root)
    config = tfds.download.DownloadConfig(
        manual_dir=manual_dir,
        # TFDS's default folder is keyed by file name alone: mnist's files would pass for fashion_mnist's
        extract_dir=str(root / "downloads" / "extracted" / builder.name),
    )
    try:
        with _few_retries():
            builder.download_and_prepare(download_config=config)
    except PREPARING_FAILED as error:
        if tfds.builder(builder.name, data_dir=root).is_prepared():
            return  # another process was faster
        with contextlib.suppress(OSError):
            Path(builder.data_dir).parent.rmdir()  # where TFDS left it empty
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        raise UserError(
            f"data.name={builder.name}: not prepared in {root}, and preparing it failed ({reason}); give data.dir=DIR "
            "with the prepared data set, data.manual_dir=DIR with its original files, or a network"
        ) from error


@contextlib.contextmanager
def _few_retries() -> Iterator[None]:
    """With no network TFDS would try for minutes, looking as if it hung."""
    log = logging.getLogger("urllib3")
    before = downloader.MAX_RETRIES, log.level
    downloader.MAX_RETRIES = 2
    log.setLevel(logging.ERROR)  # it would announce every retry
    try:
        yield
    finally:
        downloader.MAX_RETRIES, log.level = before
