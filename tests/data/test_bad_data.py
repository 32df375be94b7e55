"""Data that is not as it should be: refused in one line before a run begins, or trained on with finite figures.

Every data set is a real one of TFDS, stored as docs/how-to/use-my-data.md says, and most are then damaged.
"""

import json
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from numpy.typing import NDArray

from tests.conftest import Outcome, run_here
from tests.reading import history_of, summary_of
from vae.data import ImageSource, StoredImages
from vae.errors import UserError

pytestmark = pytest.mark.thorough

GREY = np.random.default_rng(0).integers(2, 256, (40, 6, 5, 1)).astype(np.uint8)


def store(folder: Path, images: Iterable[NDArray[Any]], shape: Any = (6, 5, 1), dtype: Any = np.uint8) -> None:
    """Store a data set `mine` without labels, whose train split has these images."""
    feature = tfds.features.Image(shape=shape, dtype=dtype)
    signature = {"image": tf.TensorSpec(shape, dtype)}
    dataset = tf.data.Dataset.from_generator(lambda: ({"image": image} for image in images), output_signature=signature)
    tfds.dataset_builders.store_as_tfds_dataset(
        name="mine",
        version="1.0.0",
        data_dir=str(folder),
        split_datasets={"train": dataset},
        features=tfds.features.FeaturesDict({"image": feature}),
        disable_shuffling=True,
    )


def train(folder: Path, *options: str) -> Outcome:
    common = ["experiment=quick", "trainer.epochs=1", "audit=none", "trainer.batch_size=1", "hydra.run.dir=run"]
    return run_here("train.py", *common, "data=tfds", "data.name=mine", "data.dir=data", *options, cwd=folder)


def assert_refused(ended: Outcome, folder: Path, *words: str) -> None:
    assert ended.status == 2, ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    for word in ("train.py: data.", *words):
        assert word in ended.stderr
    assert not (folder / "run").exists()


def assert_trained(ended: Outcome, folder: Path) -> None:
    assert ended.status == 0, ended.stderr
    assert summary_of(folder / "run")["status"] == "finished"
    (row,) = history_of(folder / "run")
    assert all(math.isfinite(float(value)) for value in row.values() if value)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def test_images_of_mixed_sizes(data: Path, tmp_path: Path) -> None:
    sizes = [(6, 5), (9, 3), (1, 1), (40, 2)] * 5
    store(data, [np.full((*size, 1), 99, np.uint8) for size in sizes], (None, None, 1))
    assert_refused(train(tmp_path), tmp_path, "data.name=mine: its images differ in shape", "data.shape")
    assert_trained(train(tmp_path, "data.shape=[4,4,1]"), tmp_path)


def test_images_of_other_channels_than_were_asked_for(data: Path, tmp_path: Path) -> None:
    store(data, GREY)
    assert_refused(train(tmp_path, "data.shape=[6,5,3]"), tmp_path, "data.shape=[6,5,3]", "choose data.shape=[6,5,1]")


def test_one_image(data: Path, tmp_path: Path) -> None:
    store(data, GREY[:1])
    assert_refused(train(tmp_path), tmp_path, "data.name=mine: has 1 images", "leaves none for validation")


def test_two_images_of_which_one_is_for_validation(data: Path, tmp_path: Path) -> None:
    store(data, GREY[:2])
    assert_trained(train(tmp_path, "data.validation_size=1"), tmp_path)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "discretized_logistic"])
def test_images_of_one_level(level: int, likelihood: str, data: Path, tmp_path: Path) -> None:
    store(data, np.full((20, 6, 5, 1), level, np.uint8))
    ended = train(tmp_path, f"likelihood={likelihood}")
    assert_trained(ended, tmp_path)


def test_black_images_before_grey_ones_keep_their_levels(data: Path, tmp_path: Path) -> None:
    """The first portion has no value above 1, as if the data set were of zeros and ones; it was once scaled so."""
    images = np.concatenate([np.zeros((1100, 2, 2, 1), np.uint8), np.full((400, 2, 2, 1), 7, np.uint8)])
    store(data, images, (2, 2, 1))
    source = ImageSource("mine", dir=str(data), validation_size=1)
    read = np.concatenate([source.train, source.validation, source.test])
    assert np.array_equal(np.unique(read), [0, 7])


def test_nan_and_infinity(data: Path, tmp_path: Path) -> None:
    images = GREY.astype(np.float32)
    images[3], images[5] = np.nan, np.inf
    store(data, images, dtype=np.float32)
    assert_refused(train(tmp_path), tmp_path, "data.name=mine: its images are float32", "must be uint8")


def test_no_labels_and_no_examples(data: Path, tmp_path: Path) -> None:
    store(data, GREY)
    assert_refused(train(tmp_path, "data.take=0"), tmp_path, "data.take=0", "greater than 0")
    assert ImageSource("mine", dir=str(data)).labels("train", 3) is None
    assert_trained(train(tmp_path, "data.take=1"), tmp_path)


def test_a_truncated_record(data: Path, tmp_path: Path) -> None:
    store(data, GREY)
    (record,) = data.rglob("*.tfrecord*")
    record.write_bytes(record.read_bytes()[:1000])
    assert_refused(train(tmp_path), tmp_path, "data.name=mine", "missing or damaged; remove it")


def test_a_count_that_lies(data: Path, tmp_path: Path) -> None:
    """TFDS compares; rows that no record fills would hold whatever was in memory before."""
    store(data, GREY)
    (path,) = data.rglob("dataset_info.json")
    info = json.loads(path.read_text())
    info["splits"][0]["shardLengths"] = ["60"]
    path.write_text(json.dumps(info))
    assert_refused(train(tmp_path), tmp_path, "data.name=mine", "remove it")


def test_a_data_set_that_is_deleted_before_it_is_read(data: Path) -> None:
    store(data, GREY)
    source = ImageSource("mine", dir=str(data))
    shutil.rmtree(data / "mine")
    with pytest.raises(UserError, match=r"data.name=mine: .* is missing or damaged"):
        source.train  # noqa: B018


def test_unpacked_images_that_are_deleted_or_cut_under_way(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, GREY)
    stored = StoredImages(path)
    path.unlink()
    assert np.array_equal(stored.read(np.arange(40)), GREY)
    np.save(path, GREY)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"images.npy: is damaged"):
        StoredImages(path)


def test_a_run_whose_data_set_is_gone(data: Path, tmp_path: Path) -> None:
    store(data, GREY)
    assert_trained(train(tmp_path), tmp_path)
    shutil.rmtree(data / "mine")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for script, arguments in (("train.py", ["resume=run", "trainer.epochs=2"]), ("evaluate.py", ["run=run"])):
        ended = run_here(script, *arguments, cwd=tmp_path)
        assert ended.status == 2, ended
        assert ended.stderr.count("\n") == 1, ended.stderr
        assert "data.name=mine: TensorFlow Datasets has no such data set" in ended.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
