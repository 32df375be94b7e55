"""Files that are never half written, and what the file system says if it cannot write them."""

import contextlib
import errno
import json
import math
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae.runs.untrusted import RefusedFileError, read_text

_UNFINISHED = re.compile(r"\..+-\d+(\.\w+)?")  # a name as atomic_path gives
_DISK_PROBLEMS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),  # full or failing
    *(errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST),  # not this user's, or not a folder
)


def disk_problem(error: BaseException) -> str | None:
    """Return the reason of the file system if an exception says that a file cannot be written."""
    if isinstance(error, OSError):
        return error.strerror if error.errno in _DISK_PROBLEMS else None
    message = str(getattr(error, "message", ""))  # of TensorFlow's errors, which TensorBoard's writer raises
    return next((reason for reason in map(os.strerror, _DISK_PROBLEMS) if reason in message), None)


@contextlib.contextmanager
def atomic_path(path: Path, durable: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it at the end of the block.

    If the block raises, the temporary file is deleted and `path` stays as it was.

    Args:
        path: the path.
        durable: True to wait until the file is on the disk, so that a machine that loses its power keeps it.
    """
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    temporary.unlink(missing_ok=True)  # a link that was planted there would be written through
    try:
        yield temporary
        if durable:
            sync(temporary)
        temporary.replace(path)
        if durable:
            sync(path.parent)
    except OSError as error:
        error.filename = error.filename or str(path)  # an error of a write does not know it
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(directory: Path) -> None:
    """Remove from a folder and those below it what a killed process was writing. No other one may be writing there."""
    for path in directory.rglob(".*"):
        if _UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, values: Any) -> None:
    """Write strict JSON, atomically. NaN and infinities, which JSON does not have, become null."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(_strict(values), indent=2, allow_nan=False) + "\n")


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a run, or an empty dictionary if the file is missing or damaged.

    A file that is not read (`vae.runs.untrusted`) is warned of.
    """
    try:
        content = json.loads(read_text(path, path.parent))
    except RefusedFileError as error:
        warnings.warn(f"{error}; it is not read", stacklevel=2)
        return {}
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
