"""The default data set: scikit-learn's digits behind a TFDS builder, built without a network in a second."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

GREY_LEVELS = 16  # of scikit-learn's pixels, which are 0 to 16


class Digits(tfds.core.GeneratorBasedBuilder):
    """1,797 real handwritten digits, 8x8x1 uint8: every fifth for the test, the other 1,438 for training."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "The 1,797 digits that scikit-learn ships."}

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="The test set of UCI's 'Optical Recognition of Handwritten Digits', as scikit-learn has it.",
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(8, 8, 1)), "label": tfds.features.ClassLabel(num_classes=10)}
            ),
            supervised_keys=("image", "label"),
            homepage="https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples(test=False), "test": self._generate_examples(test=True)}

    def _generate_examples(self, test: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.round(digits.images[..., np.newaxis] * (255 / GREY_LEVELS)).astype(np.uint8)
        for index, (image, label) in enumerate(zip(images, digits.target, strict=True)):
            if (index % 5 == 4) == test:
                yield index, {"image": image, "label": int(label)}
