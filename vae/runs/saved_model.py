"""Saved models that may come from a stranger, as copies that Keras may read."""

import contextlib
import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from vae.runs.untrusted import LIMITS, MEBIBYTE, RefusedFileError, check_size
from vae.runs.weights import copy_weights

#: The member of a checkpoint that Keras does not read
PROGRESS = "progress.npz"
_WEIGHTS = "model.weights.h5"
_MEMBERS = {"config.json", "metadata.json", _WEIGHTS, PROGRESS}  # besides the files of layers that have some
_MOST_COPIES = 3  # of the weights, at a time


@contextlib.contextmanager
def clean_copy(path: Path) -> Iterator[Path]:
    """Yield a copy of a saved model that Keras can read in no more time and memory than its size takes.

    Raises:
        RefusedFileError: naming a member that no run writes, such as one that is compressed, or too large; if members
            overlap; or saying what of its weights is not as a run writes it (`vae.runs.weights`).
        zipfile.BadZipFile: if it is no archive.
        OSError: if the folder of temporary files has too little space.
    """
    check_size(path, path.parent)
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory(prefix="vae-") as folder:
        check_members(archive, path.stat().st_size)
        names = archive.namelist()
        if unknown := [name for name in names if name not in _MEMBERS and not _is_asset(name)]:
            raise RefusedFileError(f"it has a member {unknown[0]}, which no run writes")
        if len(set(names)) < len(names):
            raise RefusedFileError("it has a member twice, which no run writes")
        if _WEIGHTS not in names:
            raise RefusedFileError(f"it has no {_WEIGHTS}")
        if shutil.disk_usage(folder).free < _MOST_COPIES * path.stat().st_size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        stored, weights, copy = (Path(folder, name) for name in ("stored.h5", _WEIGHTS, path.name))
        with archive.open(_WEIGHTS) as source, stored.open("wb") as target:
            shutil.copyfileobj(source, target)
        if reason := copy_weights(stored, weights):
            raise RefusedFileError(reason)
        stored.unlink()
        with zipfile.ZipFile(copy, "w") as target:
            target.write(weights, _WEIGHTS)
            for name in names:
                if name not in (_WEIGHTS, PROGRESS):
                    with archive.open(name) as source, target.open(name, "w") as member:
                        shutil.copyfileobj(source, member)
        weights.unlink()
        yield copy


def _is_asset(name: str) -> bool:
    return name.startswith("assets/") and ".." not in name


def check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Check that an archive takes no more memory than it has bytes; see `clean_copy`.

    Args:
        archive: a saved model, or an archive in it.
        size: its size in bytes.
    """
    if sum(member.compress_size for member in archive.infolist()) > size:
        raise RefusedFileError("its members overlap, which no run writes")
    for member in archive.infolist():
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise RefusedFileError(f"its {member.filename} is compressed, which no run writes")
        if member.filename.endswith(".json") and member.file_size > LIMITS[".json"]:
            raise RefusedFileError(f"its {member.filename} has {member.file_size / MEBIBYTE:,.0f} MiB")
