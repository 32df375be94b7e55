"""Weights are looked through before Keras reads them, and HDF5's own structures cannot hang or fill the process."""

import signal
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from vae.runs import weights
from vae.runs.untrusted import RefusedFileError, check_archive

ARRAY = "layers/dense/vars/0"


def check(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        weights.check_weights(file, path.stat().st_size)


def archived(path: Path) -> Path:
    """Return a saved model that has these weights, after a member whose size puts them at an odd place."""
    model = path.with_name("model.keras")
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(path, "model.weights.h5")
    return model


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Weights as Keras writes them, of two types."""
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file[ARRAY] = np.ones((10, 10), np.float32)
        file["layers/dense/vars/1"] = np.zeros((), np.uint32)
        file["layers/half/vars/0"] = np.ones(3, ml_dtypes.bfloat16)
        file["layers/half/vars/0"].attrs["dtype"] = "bfloat16"
    return path


def test_weights_as_keras_writes_them_are_read(good: Path) -> None:
    check(good)
    check_archive(archived(good))


def never_written(file: h5py.File) -> None:
    """An array that nobody has written yet has any size: 3.6 GB in a file of 1.4 MB."""
    file.create_dataset("a", (1000, 1000), np.float32)


def never_written_in_parts(file: h5py.File) -> None:
    file.create_dataset("a", (1000, 1000), np.float32, chunks=(1000, 1000))


def compressed(file: h5py.File) -> None:
    file.create_dataset("a", (1000, 1000), np.float32, chunks=(10, 10), compression="gzip")


def in_another_file(file: h5py.File) -> None:
    file.create_dataset("a", (1000, 1000), np.float32, external=[("elsewhere", 0, 4_000_000)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((10, 10), np.float32)
    layout[:] = h5py.VirtualSource(file[ARRAY])
    file.create_virtual_dataset("a", layout)


def nested(file: h5py.File) -> None:
    """HDF5 takes a time that is quadratic in the depth: of 6,000 groups, 6 MB, 49 s."""
    file.create_group("/".join("a" * 31))


def with_many_groups(file: h5py.File) -> None:
    """As many as they like, by links to one that is there once."""
    for number in range(20_001):
        file[f"a{number}"] = file.require_group("b")


def in_itself(file: h5py.File) -> None:
    for name in "abc":
        file[name] = file["/"]


def behind_a_link(file: h5py.File) -> None:
    file["a"] = h5py.SoftLink("/b")


def twice(file: h5py.File) -> None:
    file["a"] = np.zeros(100_000)
    file["b"] = file["a"]


def of_lists(file: h5py.File) -> None:
    """All lists of an array may be the same one: 2.5 MB became 6.7 GB."""
    file.create_dataset("a", (3,), np.dtype([("list", h5py.vlen_dtype(np.float32))]))


def of_texts(file: h5py.File) -> None:
    file["a"] = ["text"] * 3


def a_type(file: h5py.File) -> None:
    file["a"] = np.dtype(np.float32)


def with_many_types(file: h5py.File) -> None:
    """Keras reads the attribute, and all its texts may be the same one: 5.6 MB became 13 GB."""
    file[ARRAY].attrs["dtype"] = ["float32"] * 2


def with_a_number_for_a_type(file: h5py.File) -> None:
    file[ARRAY].attrs["dtype"] = 5


def with_a_long_type(file: h5py.File) -> None:
    file[ARRAY].attrs["dtype"] = "x" * 101


NOT_STORED, NO_WORD = "its /a is compressed or not stored", f"its /{ARRAY} has a type that is no word"


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        *((write, NOT_STORED) for write in (never_written, never_written_in_parts, compressed)),
        *((write, NOT_STORED) for write in (in_another_file, virtual)),
        *((write, "more groups than those of a run") for write in (nested, with_many_groups, in_itself)),
        (behind_a_link, "its /a is a link"),
        (twice, "its weights overlap"),
        *((write, "its /a holds no numbers") for write in (of_lists, of_texts, a_type)),
        *((write, NO_WORD) for write in (with_many_types, with_a_number_for_a_type, with_a_long_type)),
    ],
)
def test_weights_are_as_a_run_writes_them(write: Callable[[h5py.File], None], reason: str, good: Path) -> None:
    with h5py.File(good, "r+") as file:
        write(file)
    with pytest.raises(ValueError, match=reason):
        check(good)


def test_the_reason_is_told_across_processes(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        file["ä\x1b"] = h5py.SoftLink("/b")
    with pytest.raises(RefusedFileError, match="its /ä\x1b is a link, which no run writes"):
        check_archive(archived(good))


def test_what_is_no_file_of_weights_is_refused(good: Path) -> None:
    good.write_bytes(b"no weights")
    with pytest.raises(RefusedFileError, match="file signature not found"):
        check_archive(archived(good))


class Structure:
    """The bytes of a file of weights, whose root group is a tree of nodes (version 1) and a heap of names.

    Sources: the HDF5 File Format Specification, version 3.0, II.A.2, III.A.1 and III.D.
    """

    def __init__(self, path: Path) -> None:
        self.bytes = bytearray(path.read_bytes())
        self.tree, self.heap = self.address(80), self.address(88)  # as the superblock has them
        assert self.bytes[self.tree : self.tree + 4] == b"TREE"
        assert self.bytes[self.heap : self.heap + 4] == b"HEAP"

    def address(self, place: int) -> int:
        (number,) = struct.unpack_from("<Q", self.bytes, place)
        assert isinstance(number, int)
        return number

    def write(self, path: Path) -> None:
        struct.pack_into("<Q", self.bytes, 40, len(self.bytes))  # the end of the file
        path.write_bytes(self.bytes)


def with_shared_children(structure: Structure) -> None:
    """Let each level of the tree lead 32 times to the same node of the next: 32^8 ways to the root group's members."""
    first, child, second = (structure.address(structure.tree + place) for place in (24, 32, 40))
    for level in range(8):
        pairs = struct.pack("<QQ", first, child) * 32 + struct.pack("<Q", second)
        node = struct.pack("<4sBBHqq", b"TREE", 0, level, 32, -1, -1) + pairs
        child = len(structure.bytes)
        structure.bytes += node.ljust(544, b"\0")
    structure.bytes[structure.tree : structure.tree + 544] = structure.bytes[child : child + 544]


def with_a_circle_of_free_space(structure: Structure) -> None:
    """Let the two free blocks of the heap lead to each other: HDF5 makes an object of each, without end."""
    size, start = structure.address(structure.heap + 8), structure.address(structure.heap + 24)
    names = structure.bytes[start : start + size]
    free = [struct.pack("<QQ", size + other, 32).ljust(32, b"\0") for other in (32, 0)]
    struct.pack_into("<QQQ", structure.bytes, structure.heap + 8, size + 64, size, len(structure.bytes))
    structure.bytes += names + b"".join(free)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_shared_children, f"cannot be looked through in 2 s and 1,024 MiB: status -{int(signal.SIGXCPU)}"),
        (with_a_circle_of_free_space, "memory allocation failed|cannot be looked through"),
    ],
)
def test_a_small_file_neither_hangs_nor_fills_the_process(
    change: Callable[[Structure], None], reason: str, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_MOST_SECONDS", 2)
    structure = Structure(good)
    structure.write(good)
    check_archive(archived(good))  # the structure alone is as HDF5 writes it
    change(structure)
    structure.write(good)
    with pytest.raises(RefusedFileError, match=reason):
        check_archive(archived(good))


def test_a_module_beside_the_command_is_not_imported(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder may be a stranger's, with an h5py.py in it."""
    good.with_name("h5py.py").write_text("raise SystemExit(0)")
    (good.parent / "numpy.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(good.parent)
    good.write_bytes(b"no weights")
    with pytest.raises(RefusedFileError, match="file signature not found"):
        check_archive(archived(good))
