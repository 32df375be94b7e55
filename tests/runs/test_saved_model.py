"""A saved model that may come from a stranger is copied before Keras reads it, if a run can have written it."""

import copy
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import h5py
import keras
import pytest

from tests.runs.saved import check
from vae.runs.untrusted import LIMITS, RefusedFileError
from vae.training.checkpoints import load_model


@pytest.fixture
def weights(tmp_path: Path) -> bytes:
    """A file of weights without any."""
    with h5py.File(tmp_path / "weights.h5", "w"):
        pass
    return (tmp_path / "weights.h5").read_bytes()


def write(path: Path, members: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_what_keras_reads_is_a_copy(weights: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    members = {"config.json": b"{}", "metadata.json": b"[]"}
    write(path, {**members, "model.weights.h5": weights, "progress.npz": b""})
    found = []

    def read(given: Path, safe_mode: bool) -> None:
        with zipfile.ZipFile(given) as archive:
            found.append({name: archive.read(name) for name in archive.namelist() if name != "model.weights.h5"})
        raise ValueError(f"read, with safe_mode={safe_mode}: {given.is_relative_to(tmp_path)}")

    with (
        mock.patch.object(keras.models, "load_model", read),
        pytest.raises(Exception, match="read, with safe_mode=True: False"),
    ):
        load_model(path, "run")
    assert found == [members]


def test_an_archive_takes_no_more_memory_than_it_has_on_disk(weights: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    for compression, size, reason in (
        (zipfile.ZIP_STORED, 100, None),
        (zipfile.ZIP_DEFLATED, 100, "compressed"),
        (zipfile.ZIP_STORED, LIMITS[".json"] + 1, "config.json has 16 MiB"),
    ):
        write(path, {"config.json": b" " * size, "model.weights.h5": weights}, compression)
        if reason is None:
            check(path)
        else:
            with pytest.raises(RefusedFileError, match=reason):
                check(path)


def test_members_of_an_archive_do_not_overlap(tmp_path: Path) -> None:
    """Each of a hundred entries of the directory leads to the same megabyte."""
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights", b" " * 2**20)
        for number in range(99):
            member = copy.copy(archive.getinfo("weights"))
            member.filename = member.orig_filename = f"weights{number}"
            archive.filelist.append(member)
    with pytest.raises(RefusedFileError, match="overlap"):
        check(path)


@pytest.mark.parametrize(
    "name", ["model.weights.npz", "../evil", "Model.weights.h5", "assets/words.txt", f"assets/{300 * 'x'}"]
)
def test_there_are_no_other_members(name: str, weights: bytes, tmp_path: Path) -> None:
    """Keras would read an archive of NumPy's within the archive, too, and leave assets behind that it cannot write."""
    path = tmp_path / "model.keras"
    write(path, {"model.weights.h5": weights, name: b""})
    with pytest.raises(RefusedFileError, match=f"it has a member {re.escape(name)}, which no run writes"):
        check(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_no_member_is_there_twice(weights: bytes, tmp_path: Path) -> None:
    """Each of hundreds would take its time."""
    path = tmp_path / "model.keras"
    write(path, {"model.weights.h5": weights})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model.weights.h5", weights)
    with pytest.raises(RefusedFileError, match="a member twice"):
        check(path)


def test_there_are_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    write(path, {"config.json": b"{}"})
    with pytest.raises(RefusedFileError, match=r"it has no model.weights.h5"):
        check(path)
