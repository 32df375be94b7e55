"""Saved models that may come from a stranger, as copies that Keras may read."""

import contextlib
import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from vae.errors import RunError
from vae.runs.untrusted import LIMITS, MEBIBYTE, RefusedFileError, check_size
from vae.runs.weights import copy_weights

#: The member of a checkpoint that Keras does not read
PROGRESS = "progress.npz"
_WEIGHTS = "model.weights.h5"
_MEMBERS = {"config.json", "metadata.json", _WEIGHTS, PROGRESS}
_MOST_COPIES = 3  # at a time, one of them Keras's
#: What a machine lacks when a copy fails that would succeed on another
_NO_PLACE = {getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "ENOMEM", "EAGAIN", "EMFILE", "ENFILE")}


@contextlib.contextmanager
def clean_copy(path: Path) -> Iterator[Path]:
    """Yield a copy of a saved model whose weights Keras can read in no more time and memory than their size takes.

    Raises:
        RefusedFileError: naming a member that no run writes, such as one that is compressed, or too large; if members
            overlap; or saying what of its weights is not as a run writes it (`vae.runs.weights`).
        zipfile.BadZipFile: if it is no archive.
        RunError: if the copy cannot be made for lack of space or memory, which is no damage of the model.
    """
    check_size(path, path.parent)
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive, _temporary_folder(_MOST_COPIES * size) as folder:
        check_members(archive, size)
        names = archive.namelist()
        if unknown := [name for name in names if name not in _MEMBERS]:
            raise RefusedFileError(f"it has a member {unknown[0]}, which no run writes")
        if len(set(names)) < len(names):
            raise RefusedFileError("it has a member twice, which no run writes")
        if _WEIGHTS not in names:
            raise RefusedFileError(f"it has no {_WEIGHTS}")
        stored, weights, copy = (folder / name for name in ("stored.h5", _WEIGHTS, path.name))
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


@contextlib.contextmanager
def _temporary_folder(size: int) -> Iterator[Path]:
    """Yield a folder of temporary files that has place for so many bytes; see `clean_copy`."""
    try:
        root = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise RunError(f"{error.strerror}; a saved model is copied there to be read; TMPDIR names a folder") from None
    try:
        with tempfile.TemporaryDirectory(prefix="vae-", dir=root) as folder:
            if shutil.disk_usage(folder).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield Path(folder)
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        raise RunError(
            f"a saved model cannot be copied to {root} ({error.strerror}); it takes {size / MEBIBYTE:,.1f} MiB there; "
            "TMPDIR names another folder"
        ) from None


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
