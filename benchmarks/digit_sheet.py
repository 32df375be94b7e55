"""A TFDS data set of any number of images, built when it is needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from images import digit_images

CHUNK = 10_000


class DigitSheet(tfds.core.GeneratorBasedBuilder):
    """Images of digits, 28x28x1 uint8."""

    VERSION = tfds.core.Version("1.0.0")
    count: ClassVar = 0  # number of training images to build; a data set that is built states its own

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(28, 28, 1))})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(self.count), "test": self._generate_examples(100)}

    def _generate_examples(self, count: int) -> Iterator[tuple[int, dict[str, Any]]]:
        for first in range(0, count, CHUNK):
            for index, image in enumerate(digit_images(min(CHUNK, count - first), seed=first), start=first):
                yield index, {"image": image}


def build(directory: Path, count: int) -> None:
    """Write a data set of `count` training images."""
    tfds.disable_progress_bar()
    DigitSheet.count = count
    DigitSheet(data_dir=directory).download_and_prepare()
