"""TFDS's data sets: disjoint splits, every size and number of channels, and clear errors."""

import dataclasses
import functools
import gzip
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from numpy.typing import NDArray
from rich.console import Console
from sklearn.datasets import load_digits
from tensorflow_datasets.core.download import checksums
from tensorflow_datasets.image_classification import mnist as tfds_mnist

from tests.conftest import REPOSITORY
from vae.data import Images, ImageSource, StoredImages
from vae.data.preparation import _NAME
from vae.errors import UserError


class SmallImages(tfds.core.GeneratorBasedBuilder):
    """Twenty color images in one split, each of one color, which is ten times its index."""

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
    """The same images in a data set that does not state their size."""

    SHAPE = (None, None, 3)


class TransparentImages(SmallImages):
    """Twenty grey images with transparency: TFDS stores their two channels, and TensorFlow cannot read them again."""

    SHAPE = (5, 7, 2)

    def _generate_examples(self) -> Any:
        for index in range(20):
            yield index, {"image": np.full(self.SHAPE, 10 * index, np.uint8)}


class BinaryImages(SmallImages):
    """Twenty images that are stored as 0 and 1, as binarized_mnist is; the last row is white."""

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(2, 2, 1))})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _generate_examples(self) -> Any:
        for index in range(20):
            yield index, {"image": np.array([[0, 0], [1, 1]], np.uint8)[..., np.newaxis]}


@dataclasses.dataclass
class GreyConfig(tfds.core.BuilderConfig):
    """A configuration whose images have one grey level."""

    grey: int = 0


class ConfiguredImages(tfds.core.GeneratorBasedBuilder):
    """Twenty images, whose grey level depends on the configuration and the version."""

    VERSION = tfds.core.Version("1.0.0")
    SUPPORTED_VERSIONS: ClassVar = [tfds.core.Version("2.0.0")]
    BUILDER_CONFIGS: ClassVar = [GreyConfig(name="dark", grey=10), GreyConfig(name="light", grey=200)]

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(4, 4, 1))})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Any:
        grey = self.builder_config.grey + int(self.version.major)
        for index in range(20):
            yield index, {"image": np.full((4, 4, 1), grey, np.uint8)}


@pytest.fixture
def digits(tmp_path: Path) -> ImageSource:
    return ImageSource("digits", dir=str(tmp_path), validation_size=180)


def in_memory(images: Images) -> NDArray[np.uint8]:
    return images.read(np.arange(len(images))) if isinstance(images, StoredImages) else images


def test_a_split_on_disk_has_the_same_images(digits: ImageSource, tmp_path: Path) -> None:
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


def test_other_options_unpack_to_another_file(tmp_path: Path) -> None:
    options: dict[str, Any] = {"dir": str(tmp_path), "memory_limit": 0.0, "unpacked_dir": str(tmp_path / "elsewhere")}
    plain, inverted = (ImageSource("digits", invert=invert, take=50, **options) for invert in (False, True))
    assert np.array_equal(in_memory(plain.train), 255 - in_memory(inverted.train))
    assert len(list((tmp_path / "elsewhere" / "digits").iterdir())) == 2


def test_the_name_of_a_folder_is_shown_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vae.data.image_source.Console", functools.partial(Console, force_terminal=True, width=400))
    folder = tmp_path / "[red]\x1b]0;mine\x07"
    assert len(ImageSource("digits", dir=str(tmp_path), memory_limit=0.0, unpacked_dir=str(folder)).test) == 359
    shown = capsys.readouterr().out
    assert "\x1b]0" not in shown
    assert r"[red]\x1b]0;mine\x07" in shown


def test_a_folder_that_cannot_hold_unpacked_images(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    source = ImageSource("digits", dir=str(tmp_path), memory_limit=0.0, unpacked_dir=str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"data.unpacked_dir=.*/file: .*memory_limit=0.0 GiB.*Not a directory.*free"):
        source.train  # noqa: B018


def test_digits_are_those_of_scikit_learn(digits: ImageSource) -> None:
    ours = np.concatenate([digits.train, digits.validation, digits.test])
    assert ours.shape == (1797, 8, 8, 1)
    assert ours.dtype == np.uint8
    theirs = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    assert sorted(image.tobytes() for image in ours) == sorted(image.tobytes() for image in theirs)
    assert (len(digits.train), len(digits.validation), len(digits.test)) == (1258, 180, 359)


def test_splits_cut_from_train_are_disjoint(tmp_path: Path) -> None:
    source = ImageSource("small_images", dir=str(tmp_path), validation_size=6)
    colors = [set(np.unique(split).tolist()) for split in (source.train, source.validation, source.test)]
    assert [len(color) for color in colors] == [12, 6, 2]
    assert len(set.union(*colors)) == 20
    assert source.image_shape == (5, 7, 3)


def test_take_shortens_every_split(tmp_path: Path) -> None:
    whole = ImageSource("small_images", dir=str(tmp_path), validation_size=6)
    short = ImageSource("small_images", dir=str(tmp_path), validation_size=6, take=4)
    assert np.array_equal(short.train, whole.train[:4])
    assert np.array_equal(short.validation, whole.validation[:4])
    assert len(short.test) == 2
    assert [short.size(split) for split in ("train", "validation", "test")] == [4, 4, 2]


def test_images_are_resized_and_turned_grey(tmp_path: Path) -> None:
    source = ImageSource("small_images", dir=str(tmp_path), shape=[4, 4, 1], invert=True)
    plain = ImageSource("small_images", dir=str(tmp_path))
    assert source.train.shape == (len(plain.train), 4, 4, 1)
    grey = plain.train[:, 0, 0, 0].astype(int)  # the channels are equal, so grey is the same number
    assert np.abs(source.train[:, 2, 2, 0].astype(int) - (255 - grey)).max() <= 1


def test_images_of_differing_shapes_need_a_shape(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.name=shapeless_images: .* give data.shape"):
        _ = ImageSource("shapeless_images", dir=str(tmp_path)).image_shape
    assert ImageSource("shapeless_images", dir=str(tmp_path), shape=[4, 4, 3]).train.shape[1:] == (4, 4, 3)


@pytest.mark.parametrize("shape", [None, [5, 7, 1], [5, 7, 2]])
def test_images_with_two_channels_are_not_called_damaged(shape: list[int] | None, tmp_path: Path) -> None:
    source = ImageSource("transparent_images", dir=str(tmp_path), shape=shape)
    with pytest.raises(
        UserError, match=r"^data.name=transparent_images: its images have 2 channels; store them with 1, 3 or 4$"
    ):
        source.train  # noqa: B018


@pytest.mark.parametrize(("name", "shape"), [("cifar10", (32, 32, 3)), ("fashion_mnist", (28, 28, 1))])
def test_a_data_set_of_tfds_by_its_name(
    name: str, shape: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TFDS's own mock data has the features of the real data sets."""
    with tfds.testing.mock_data(num_examples=30):
        builder = tfds.builder(name, data_dir=str(tmp_path))
        monkeypatch.setattr(type(builder), "is_prepared", lambda self: True)
        source = ImageSource(name, dir=str(tmp_path), validation_size=5, take=8)
        assert source.image_shape == shape


def test_prepared_mnist(shared: Path) -> None:
    source = ImageSource("mnist", dir=str(shared / "tfds"), validation_size=10000, take=500)
    assert source.ranges()["train"] == ("train", 0, 500)
    assert source.ranges()["validation"] == ("train", 50000, 50500)
    assert source.train.shape == (500, 28, 28, 1)
    assert 20 < source.train.mean() < 50  # MNIST's mean grey is 33


def test_binarized_mnist_has_its_own_splits_and_two_levels(shared: Path) -> None:
    source = ImageSource("binarized_mnist", dir=str(shared / "tfds"), take=200)
    assert [name for name, _, _ in source.ranges().values()] == ["test", "validation", "train"]
    assert np.unique(source.train).tolist() == [0, 255]


@pytest.mark.thorough
def test_built_from_files_in_manual_dir(shared: Path, tmp_path: Path) -> None:
    source = ImageSource("mnist", dir=str(tmp_path), manual_dir=str(shared / "raw" / "mnist"), take=300)
    prepared = ImageSource("mnist", dir=str(shared / "tfds"), take=300)
    assert np.array_equal(source.train, prepared.train)


def write_idx(folder: Path, grey: int) -> None:
    """Write twenty images of one grey and their labels, under the file names of MNIST and Fashion-MNIST."""
    folder.mkdir()
    for part in ("train", "t10k"):
        images = struct.pack(">4i", 2051, 20, 28, 28) + bytes([grey]) * (20 * 28 * 28)
        labels = struct.pack(">2i", 2049, 20) + bytes(20)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def test_data_sets_with_the_same_file_names_do_not_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In TFDS's default folder for extraction the second data set would hold the images of the first."""
    monkeypatch.setattr(tfds_mnist, "_TRAIN_EXAMPLES", 20)
    monkeypatch.setattr(tfds_mnist, "_TEST_EXAMPLES", 20)
    greys = {tfds_mnist.MNIST: 10, tfds_mnist.FashionMNIST: 200}
    known = {}  # checksums that TFDS expects
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


@pytest.mark.thorough
def test_several_processes_may_prepare_at_once(tmp_path: Path) -> None:
    """The first runs of a parallel sweep do, and TFDS raises in all but one."""
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


def test_a_missing_network_is_reported_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    began = time.monotonic()
    with pytest.raises(UserError, match=r"data.name=kmnist: not prepared in .* give data.dir=DIR") as raised:
        ImageSource("kmnist", dir=str(tmp_path))
    assert time.monotonic() - began < 20  # TFDS's own ten retries take minutes
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "mnits"}, "data.name=mnits: TensorFlow Datasets has no such data set; did you mean mnist"),
        ({"name": "qqqqqqqq"}, "data.name=qqqqqqqq: .* lists them all"),
        ({"name": "glue"}, "data.name=glue: not an image set"),
        ({"name": "digits", "dir": "nowhere"}, "data.dir=nowhere: there is no such folder"),
        ({"name": "digits", "dir": 300 * "x"}, "data.dir=x{300}: there is no such folder"),
        ({"name": "mnist/none"}, "data.name=mnist/none: .*none"),
        ({"name": "digits", "take": 0}, "take=0: .* greater than 0"),
        ({"name": "digits", "binarization": "maybe"}, "binarization=maybe: .*'dynamic'"),
    ],
)
def test_wrong_options_are_reported(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ImageSource(**options)


def test_a_validation_split_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.validation_size=20: leaves none of the 20 training images"):
        _ = ImageSource("small_images", dir=str(tmp_path), validation_size=20).train


def test_a_damaged_preparation_is_reported(tmp_path: Path) -> None:
    ImageSource("small_images", dir=str(tmp_path))
    for record in tmp_path.rglob("*.tfrecord*"):
        record.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"data.name=small_images: .* is missing or damaged"):
        _ = ImageSource("small_images", dir=str(tmp_path)).train
    shutil.rmtree(tmp_path / "small_images")
    assert len(ImageSource("small_images", dir=str(tmp_path)).train) > 0


def test_binary_images_are_inverted_to_black_and_white(tmp_path: Path) -> None:
    """Stored as 0 and 1, they are scaled to 0 and 255 before they are inverted."""
    plain, inverted = (ImageSource("binary_images", dir=str(tmp_path), invert=invert) for invert in (False, True))
    assert plain.train[0, :, 0, 0].tolist() == [0, 255]
    assert inverted.train[0, :, 0, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("name", "grey"),
    [
        ("configured_images", 11),
        ("configured_images/light", 201),
        ("configured_images/light:2.0.0", 202),
        ("configured_images/dark:2.0.0", 12),
    ],
)
def test_a_name_may_have_a_configuration_and_a_version(name: str, grey: int, tmp_path: Path) -> None:
    ImageSource("configured_images", dir=str(tmp_path))  # the default one is there, too
    for _ in range(2):  # prepared, and opened again
        assert np.unique(ImageSource(name, dir=str(tmp_path)).train).tolist() == [grey]
    on_disk = ImageSource(name, dir=str(tmp_path), memory_limit=0.0)
    assert np.unique(in_memory(on_disk.train)).tolist() == [grey]


def test_a_prepared_configuration_does_not_pass_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If preparing fails because another process was faster, the data set that was asked for must be there."""
    ImageSource("configured_images", dir=str(tmp_path))

    def fail(self: Any, **_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(ConfiguredImages, "download_and_prepare", fail)
    with pytest.raises(UserError, match=r"data.name=configured_images/light:2.0.0: not prepared .*disk full"):
        ImageSource("configured_images/light:2.0.0", dir=str(tmp_path))
    assert np.unique(ImageSource("configured_images", dir=str(tmp_path)).train).tolist() == [11]


def test_weights_are_read_only_if_training_asks_for_them(tmp_path: Path) -> None:
    """An evaluation of a run whose file of weights is gone needs none."""
    source = ImageSource("small_images", dir=str(tmp_path), weights=str(tmp_path / "weights.npy"))
    assert len(source.test) == 2
    with pytest.raises(UserError, match=r"data.weights=.*weights.npy: cannot be read .* 16 numbers"):
        source.weights  # noqa: B018
    np.save(tmp_path / "weights.npy", np.arange(16))
    assert source.weights is not None
    assert source.weights.tolist() == list(range(16))
    assert ImageSource("small_images", dir=str(tmp_path)).weights is None


@pytest.mark.parametrize(
    "weights",
    [
        *(np.ones(3), -np.ones(16), np.full(16, np.nan), np.zeros(16), np.array(["a"] * 16)),
        *(np.full(16, 1e-320), np.full(16, 1e300)),  # which are 0 and infinite in float32
    ],
)
def test_weights_that_cannot_be_used(weights: NDArray[Any], tmp_path: Path) -> None:
    np.save(tmp_path / "weights.npy", weights)
    source = ImageSource("small_images", dir=str(tmp_path), weights=str(tmp_path / "weights.npy"))
    with pytest.raises(UserError, match=r"data.weights=.*weights.npy: .* 16 numbers of 0 or more"):
        source.weights  # noqa: B018


def test_a_data_set_that_was_moved(tmp_path: Path) -> None:
    """It needs another `dir` only: a folder of original files that is gone does not matter once it is prepared."""
    options = {"name": "small_images", "manual_dir": str(tmp_path / "originals")}
    (tmp_path / "originals").mkdir()
    (tmp_path / "before").mkdir()
    before = ImageSource(dir=str(tmp_path / "before"), **options).train
    (tmp_path / "originals").rmdir()
    (tmp_path / "before").rename(tmp_path / "after")
    with pytest.raises(UserError, match=r"data.dir=.*before: there is no such folder"):
        ImageSource(dir=str(tmp_path / "before"), **options)
    assert np.array_equal(ImageSource(dir=str(tmp_path / "after"), **options).train, before)


def test_a_version_that_tfds_cannot_prepare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = [tfds.core.Version("0.9.0"), tfds.core.Version("2.0.0")]
    monkeypatch.setattr(ConfiguredImages, "SUPPORTED_VERSIONS", versions)
    with pytest.raises(UserError, match=r"data.name=configured_images:0.9.0: .*too old"):
        ImageSource("configured_images:0.9.0", dir=str(tmp_path))


def test_a_missing_folder_of_original_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.manual_dir=nowhere: there is no such folder"):
        ImageSource("small_images", dir=str(tmp_path), manual_dir="nowhere")


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
@pytest.mark.parametrize("folder", ["my_set/1.0.0", "my_set/a/1.0.0", "my_set/a/b/c/1.0.0"])
def test_a_prepared_data_set_names_no_module_to_import(key: str, folder: str, tmp_path: Path) -> None:
    """TFDS imports the module of every feature that the files of a prepared data set name."""
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "features.json").write_text(json.dumps({"features": {"image": {key: "antigravity.Feature"}}}))
    with pytest.raises(UserError, match=r"data.dir=.*antigravity.Feature"):
        ImageSource("MySet", str(tmp_path))
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "my_set/..:1.0.0",
        "my_set:1.0.0/config=a/b",
        "my_set/config=a",
        "../my_set",
        "my_set/a/../..",
        "my set",
        "/my_set",
    ],
)
def test_a_name_is_no_path_and_has_no_arguments(name: str, tmp_path: Path) -> None:
    """By which TFDS would read files of another place."""
    with pytest.raises(UserError, match=r"data.name=.*: must be NAME, NAME/CONFIGURATION or .*:VERSION"):
        ImageSource(name, str(tmp_path))


@pytest.mark.parametrize("name", ["mnist", "coco/2017", "c/b_1:3.0.1", "c/a.b-c+d/e", "c:1.*.*", "huggingface:glue/x"])
def test_the_names_of_tfds_are_names(name: str) -> None:
    assert _NAME.fullmatch(name)
