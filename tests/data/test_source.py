"""Data sets: disjoint splits, sizes and channels of every kind, and clear words where one cannot be had."""

import gzip
import hashlib
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from tensorflow_datasets.core.download import checksums, downloader
from tensorflow_datasets.image_classification import mnist as tfds_mnist

from tests.conftest import REPOSITORY
from vae.data import ImageSource, StoredImages
from vae.data.batches import Images
from vae.errors import UserError


class SmallImages(tfds.core.GeneratorBasedBuilder):
    """Twenty colour images of an odd size in one split; every image has one colour, which says which one it is."""

    VERSION = tfds.core.Version("1.0.0")
    SHAPE: tuple[int | None, int | None, int] = (5, 7, 3)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=self.SHAPE)})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Any:
        for index in range(20):
            yield index, {"image": np.full((5, 7, 3), 10 * index, np.uint8)}


class ShapelessImages(SmallImages):
    """The same, but the set does not say what size its images are."""

    SHAPE = (None, None, 3)


@pytest.fixture
def digits(tmp_path: Path) -> ImageSource:
    return ImageSource("digits", dir=str(tmp_path), validation_size=180)


def in_memory(images: Images) -> NDArray[np.uint8]:
    return images.read(np.arange(len(images))) if isinstance(images, StoredImages) else images


def test_what_does_not_fit_in_memory_is_the_same_on_disk(digits: ImageSource, tmp_path: Path) -> None:
    on_disk = ImageSource("digits", dir=str(tmp_path), validation_size=180, memory_limit=0.0)
    for split in ("train", "validation", "test"):
        images = getattr(on_disk, split)
        assert isinstance(images, StoredImages)
        assert np.array_equal(in_memory(images), getattr(digits, split))
    assert np.array_equal(on_disk.mean_image(), digits.mean_image())
    assert digits.mean_image() == pytest.approx(digits.train.mean(axis=0) / 255, abs=1e-6)
    files = sorted((tmp_path / "unpacked" / "digits").iterdir())
    assert [path.name for path in files] == [
        "1.0.0-test-0-359-8x8x1.npy",
        "1.0.0-train-0-1258-8x8x1.npy",
        "1.0.0-train-1258-1438-8x8x1.npy",
    ]
    before = [path.stat().st_mtime_ns for path in files]
    again = ImageSource("digits", dir=str(tmp_path), validation_size=180, memory_limit=0.0)
    assert len(again.train) == 1258
    assert [path.stat().st_mtime_ns for path in files] == before, "unpacked twice"


def test_an_unpacked_split_is_another_where_its_options_are(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dir": str(tmp_path), "memory_limit": 0.0, "unpacked_dir": str(tmp_path / "elsewhere")}
    plain, inverted = (ImageSource("digits", invert=invert, take=50, **options) for invert in (False, True))
    assert np.array_equal(in_memory(plain.train), 255 - in_memory(inverted.train))
    assert len(list((tmp_path / "elsewhere" / "digits").iterdir())) == 2


def test_a_folder_that_takes_no_unpacked_images(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = ImageSource("digits", dir=str(tmp_path), memory_limit=0.0, unpacked_dir=str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"data.unpacked_dir=.*/file: .*memory_limit=0.0 GiB.*Not a directory.*free"):
        source.train  # noqa: B018


def test_digits_are_scikit_learn_s(digits: ImageSource) -> None:
    ours = np.concatenate([digits.train, digits.validation, digits.test])
    assert ours.shape == (1797, 8, 8, 1)
    assert ours.dtype == np.uint8
    theirs = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    assert sorted(image.tobytes() for image in ours) == sorted(image.tobytes() for image in theirs)
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1258, 180, 359)


def test_splits_cut_from_train_are_disjoint(tmp_path: Path) -> None:
    source = ImageSource("small_images", dir=str(tmp_path), validation_size=6)
    colours = [set(np.unique(split).tolist()) for split in (source.train, source.validation, source.test)]
    assert [len(colour) for colour in colours] == [12, 6, 2]
    assert len(set.union(*colours)) == 20
    assert source.image_shape == (5, 7, 3)


def test_take_shortens_every_split(tmp_path: Path) -> None:
    whole = ImageSource("small_images", dir=str(tmp_path), validation_size=6)
    short = ImageSource("small_images", dir=str(tmp_path), validation_size=6, take=4)
    assert np.array_equal(short.train, whole.train[:4])
    assert np.array_equal(short.validation, whole.validation[:4])
    assert len(short.test) == 2
    assert [short.size(split) for split in ("train", "validation", "test")] == [4, 4, 2]


def test_brought_to_another_shape(tmp_path: Path) -> None:
    source = ImageSource("small_images", dir=str(tmp_path), shape=[4, 4, 1], invert=True)
    plain = ImageSource("small_images", dir=str(tmp_path))
    assert source.train.shape == (len(plain.train), 4, 4, 1)
    grey = plain.train[:, 0, 0, 0].astype(int)  # one colour, all channels equal: grey is the same number
    assert np.abs(source.train[:, 2, 2, 0].astype(int) - (255 - grey)).max() <= 1


def test_images_of_no_one_shape_need_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no one shape; give data.shape="):
        _ = ImageSource("shapeless_images", dir=str(tmp_path)).image_shape
    assert ImageSource("shapeless_images", dir=str(tmp_path), shape=[4, 4, 3]).train.shape[1:] == (4, 4, 3)


@pytest.mark.parametrize(("name", "shape"), [("cifar10", (32, 32, 3)), ("fashion_mnist", (28, 28, 1))])
def test_sets_of_tfds_by_name(
    name: str, shape: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TFDS's own mock data, which has the real sets' features."""
    with tfds.testing.mock_data(num_examples=30):
        builder = tfds.builder(name, data_dir=str(tmp_path))
        monkeypatch.setattr(type(builder), "is_prepared", lambda self: True)
        source = ImageSource(name, dir=str(tmp_path), validation_size=5, take=8)
        assert source.image_shape == shape


def test_mnist_as_prepared(shared: Path) -> None:
    source = ImageSource("mnist", dir=str(shared / "tfds"), validation_size=10000, take=500)
    assert source.ranges()["train"] == ("train", 0, 500)
    assert source.ranges()["validation"] == ("train", 50000, 50500)
    assert source.train.shape == (500, 28, 28, 1)
    assert 20 < source.train.mean() < 50  # MNIST's mean grey is 33


def test_binarized_mnist_has_its_own_splits_and_two_levels(shared: Path) -> None:
    source = ImageSource("binarized_mnist", dir=str(shared / "tfds"), take=200)
    assert [name for name, _, _ in source.ranges().values()] == ["test", "validation", "train"]
    assert np.unique(source.train).tolist() == [0, 255]


def test_built_from_files_in_manual_dir(shared: Path, tmp_path: Path) -> None:
    source = ImageSource("mnist", dir=str(tmp_path), manual_dir=str(shared / "raw" / "mnist"), take=300)
    prepared = ImageSource("mnist", dir=str(shared / "tfds"), take=300)
    assert np.array_equal(source.train, prepared.train)


def write_idx(folder: Path, grey: int) -> None:
    """Twenty images of one grey and their labels, under the names that MNIST and Fashion-MNIST share."""
    folder.mkdir()
    for part in ("train", "t10k"):
        images = struct.pack(">4i", 2051, 20, 28, 28) + bytes([grey]) * (20 * 28 * 28)
        labels = struct.pack(">2i", 2049, 20) + bytes(20)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def test_two_sets_of_the_same_file_names_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one extraction folder, which is TFDS's default, the second set would hold the first one's images."""
    monkeypatch.setattr(tfds_mnist, "_TRAIN_EXAMPLES", 20)
    monkeypatch.setattr(tfds_mnist, "_TEST_EXAMPLES", 20)
    greys = {tfds_mnist.MNIST: 10, tfds_mnist.FashionMNIST: 200}
    known = {}  # what TFDS takes for the files' checksums
    for builder, grey in greys.items():
        write_idx(tmp_path / f"{builder.name}-files", grey)
        for path in (tmp_path / f"{builder.name}-files").iterdir():
            size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
            known[f"{builder.URL}{path.name}"] = checksums.UrlInfo(size=size, checksum=digest, filename=path.name)
    monkeypatch.setattr(tfds_mnist.MNIST, "url_infos", known)
    for builder, grey in greys.items():
        source = ImageSource(builder.name, dir=str(tmp_path), manual_dir=str(tmp_path / f"{builder.name}-files"))
        assert np.unique(source.train).tolist() == [grey]


def test_a_damaged_file_in_manual_dir(tmp_path: Path) -> None:
    write_idx(tmp_path / "files", 10)
    with pytest.raises(
        UserError, match=r"data.name=mnist: .* preparing it failed \(NonMatchingChecksumError: .* wrong checksum"
    ):
        ImageSource("mnist", dir=str(tmp_path), manual_dir=str(tmp_path / "files"))


def test_two_processes_may_prepare_at_once(tmp_path: Path) -> None:
    """As the first runs of a parallel sweep do: TFDS lets the second one fail."""
    program = (
        "import sys, time; from pathlib import Path; from vae.data import ImageSource; ready = Path(sys.argv[2])\n"
        "ready.touch()\nwhile len(list(ready.parent.glob('ready*'))) < 3: time.sleep(0.001)\n"
        "print(len(ImageSource('digits', dir=sys.argv[1]).train))"
    )
    data = tmp_path / "data"
    data.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(data), str(tmp_path / f"ready{number}")],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    for process in processes:
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
        assert stdout.split()[-1] == "1295"


def test_with_no_network_it_says_so_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"data.name=kmnist: not prepared in .* give data.dir=DIR") as raised:
        ImageSource("kmnist", dir=str(tmp_path))
    assert time.monotonic() - began < 20  # TFDS's own ten retries take minutes
    assert "\n" not in str(raised.value)
    assert downloader.MAX_RETRIES == 10  # as TFDS had it


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "mnits"}, "data.name=mnits: TensorFlow Datasets has no such data set; did you mean mnist"),
        ({"name": "qqqqqqqq"}, "data.name=qqqqqqqq: .* lists them all"),
        ({"name": "glue"}, "data.name=glue: not an image set"),
        ({"name": "digits", "dir": "nowhere"}, "data.dir=nowhere: there is no such folder"),
        ({"name": "digits", "manual_dir": "nowhere"}, "data.manual_dir=nowhere: there is no such folder"),
    ],
)
def test_says_what_is_wrong(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ImageSource(**options)  # type: ignore[arg-type]


def test_refuses_a_validation_split_that_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.validation_size=20: small_images has only 20 training images"):
        _ = ImageSource("small_images", dir=str(tmp_path), validation_size=20).train


def test_a_damaged_preparation_is_reported(tmp_path: Path) -> None:
    ImageSource("small_images", dir=str(tmp_path))
    for record in tmp_path.rglob("*.tfrecord*"):
        record.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"data.name=small_images: .* is damaged"):
        _ = ImageSource("small_images", dir=str(tmp_path)).train
    shutil.rmtree(tmp_path / "small_images")
    assert len(ImageSource("small_images", dir=str(tmp_path)).train) > 0
