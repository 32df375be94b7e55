"""Keras reads a copy of weights, and HDF5's own structures can neither hang nor fill the process that makes it."""

import os
import shutil
import signal
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runs.saved import check
from vae.errors import RunError
from vae.model import VAE
from vae.runs import weights
from vae.runs.saved_model import clean_copy
from vae.runs.untrusted import RefusedFileError
from vae.training.checkpoints import latest_checkpoint, load_model, save_model

ARRAY = "layers/dense/vars/0"


def copied(path: Path) -> Path:
    copy = path.with_name("copy.h5")
    with h5py.File(path, "r") as source, h5py.File(copy, "w") as target:
        weights.copy_arrays(source, target, path.stat().st_size)
    return copy


def archived(path: Path) -> Path:
    """Return a saved model that has these weights."""
    model = path.with_name("model.keras")
    with zipfile.ZipFile(model, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(path, "model.weights.h5")
    return model


def arrays(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes, dict[str, str]]]:
    """Every array of a file: its type, shape, bytes and attributes."""
    found = {}
    with h5py.File(path) as file:

        def add(name: str, part: h5py.Group | h5py.Dataset) -> None:
            if isinstance(part, h5py.Dataset):
                found[name] = part.dtype.str, part.shape, part[()].tobytes(), dict(part.attrs)

        file.visititems(add)
    return found


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """Weights as Keras writes them, of two types."""
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file[ARRAY] = np.ones((10, 10), np.float32)
        file["layers/dense/vars/1"] = np.full((), 7, np.uint32)
        file["layers/dense/vars/2"] = np.asarray([True, False])
        file["layers/dense/vars/3"] = np.zeros((0, 3), np.float16)
        file["layers/half/vars/0"] = np.ones(3, ml_dtypes.bfloat16)
        file["layers/half/vars/0"].attrs["dtype"] = "bfloat16"
    return path


def test_a_copy_has_the_same_arrays(good: Path) -> None:
    assert len(arrays(good)) == 5
    assert arrays(copied(good)) == arrays(good)
    model = archived(good)
    with clean_copy(model) as copy, zipfile.ZipFile(copy) as archive:
        assert (copy.name, archive.namelist()) == (model.name, ["model.weights.h5", "config.json"])
        archive.extract("model.weights.h5", good.parent / "extracted")
    assert arrays(good.parent / "extracted" / "model.weights.h5") == arrays(good)
    assert not copy.parent.exists()


@pytest.mark.thorough
def test_keras_reads_the_copy_of_a_model_as_the_model(
    make_vae: Callable[..., VAE], images: NDArray[np.float32], tmp_path: Path
) -> None:
    vae = make_vae()
    vae.fit(images, verbose=0)  # or the optimizer's means are 0
    vae.save(tmp_path / "model.keras")
    with clean_copy(tmp_path / "model.keras") as copy:
        read = keras.models.load_model(copy)
    for first, second in zip(
        [*vae.variables, *vae.optimizer.variables], [*read.variables, *read.optimizer.variables], strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_a_full_folder_of_temporary_files_is_no_damage(make_vae: Callable[..., VAE], tmp_path: Path) -> None:
    """A resume would go back to the checkpoint before, as if this one were damaged."""
    path, vae = tmp_path / "step-00000003.keras", make_vae()
    vae.optimizer.build(vae.trainable_variables)
    save_model(vae, path)
    size = path.stat().st_size
    for free, is_read in ((3 * size, True), (3 * size - 1, False)):
        with mock.patch.object(shutil, "disk_usage", return_value=mock.Mock(free=free)):
            if is_read:
                load_model(path, "resume")
            else:
                with pytest.raises(RunError, match=r"\(No space left on device\); it takes .* TMPDIR names another"):
                    latest_checkpoint(tmp_path, "resume")


def instead_of_python(path: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another program start in Python's place, and Python after it if it says so."""
    path.write_text(script)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


def test_a_copy_that_cannot_be_written_is_no_damage(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of the size of files stands for a disk that fills meanwhile."""
    with h5py.File(good, "r+") as file:
        file["large"] = np.ones(10_000)
    script = f"""#!{sys.executable}
import os, resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
"""
    instead_of_python(good.parent / "python", script, monkeypatch)
    with pytest.raises(RunError, match="No space left on device"):
        load_model(archived(good), "resume")


def test_a_process_that_was_killed_is_no_damage(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead_of_python(good.parent / "python", "#!/bin/sh\nkill -9 $$\n", monkeypatch)
    with pytest.raises(RunError, match="the process that copies was killed, perhaps for lack of memory"):
        load_model(archived(good), "resume")


def test_no_folder_of_temporary_files_is_no_damage(good: Path) -> None:
    missing = FileNotFoundError(2, "No usable temporary directory found")
    model = archived(good)
    with mock.patch("tempfile.gettempdir", side_effect=missing), pytest.raises(RunError, match="No usable temporary"):
        load_model(model, "resume")


def test_what_python_prints_at_its_start_is_no_refusal(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead_of_python(good.parent / "python", f'#!/bin/sh\necho hello\nexec {sys.executable} "$@"\n', monkeypatch)
    assert weights.copy_weights(good, good.with_name("copy.h5")) is None


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


def of_a_source_without_an_end(file: h5py.File) -> None:
    """HDF5 opens the source to know the shape, and waits if it is a pipe."""
    pipe = Path(file.filename).with_name("pipe.h5")
    os.mkfifo(pipe)
    layout = h5py.VirtualLayout((10,), np.float32, maxshape=(None,))
    layout[: h5py.h5s.UNLIMITED] = h5py.VirtualSource(str(pipe), "x", (10,), np.float32, maxshape=(None,))[
        : h5py.h5s.UNLIMITED
    ]
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


NOT_STORED = "its /a is compressed or not stored"


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        *((write, NOT_STORED) for write in (never_written, never_written_in_parts, compressed)),
        *((write, NOT_STORED) for write in (in_another_file, virtual, of_a_source_without_an_end)),
        *((write, "more groups than those of a run") for write in (nested, with_many_groups, in_itself)),
        (behind_a_link, "its /a is a link"),
        (twice, "its weights overlap"),
        *((write, "its /a holds no numbers") for write in (of_lists, of_texts, a_type)),
    ],
)
def test_weights_are_as_a_run_writes_them(write: Callable[[h5py.File], None], reason: str, good: Path) -> None:
    with h5py.File(good, "r+") as file:
        write(file)
    with pytest.raises(ValueError, match=reason):
        copied(good)


def test_nothing_but_arrays_is_copied(good: Path) -> None:
    """All texts of an attribute may be the same one: Keras read one of 5.6 MB, which became 13 GB."""
    plain = arrays(good)
    enumeration = h5py.enum_dtype({"a": 0, "b": 1}, np.int8)
    with h5py.File(good, "r+") as file:
        for part in (file, file["layers"], file[ARRAY]):
            part.attrs["dtype"] = ["float32"] * 3
        file.create_dataset("b", data=np.asarray([0, 1], np.int8), dtype=enumeration)
    assert arrays(copied(good)) == {**plain, "b": ("|i1", (2,), b"\0\1", {})}
    with h5py.File(good.with_name("copy.h5")) as file:
        assert not [*file.attrs, *file["layers"].attrs]
        assert h5py.check_enum_dtype(file["b"].dtype) is None


def test_the_reason_is_told_across_processes(good: Path) -> None:
    with h5py.File(good, "r+") as file:
        file["ä\x1b"] = h5py.SoftLink("/b")
    with pytest.raises(RefusedFileError, match="its /ä\x1b is a link, which no run writes"):
        check(archived(good))


def test_what_is_no_file_of_weights_is_refused(good: Path) -> None:
    good.write_bytes(b"no weights")
    with pytest.raises(RefusedFileError, match="file signature not found"):
        check(archived(good))


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
        (with_shared_children, f"cannot be copied in 2 s and 1,024 MiB: status -{int(signal.SIGXCPU)}"),
        (with_a_circle_of_free_space, "memory allocation failed|cannot be copied"),
    ],
)
def test_a_small_file_neither_hangs_nor_fills_the_process(
    change: Callable[[Structure], None], reason: str, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_MOST_SECONDS", 2)
    structure = Structure(good)
    structure.write(good)
    check(archived(good))  # as HDF5 writes it
    change(structure)
    structure.write(good)
    with pytest.raises(RefusedFileError, match=reason):
        check(archived(good))


def test_a_module_beside_the_command_is_not_imported(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder may be a stranger's, with an h5py.py in it."""
    good.with_name("h5py.py").write_text("raise SystemExit(0)")
    (good.parent / "numpy.py").write_text("raise SystemExit(0)")
    monkeypatch.chdir(good.parent)
    good.write_bytes(b"no weights")
    with pytest.raises(RefusedFileError, match="file signature not found"):
        check(archived(good))
