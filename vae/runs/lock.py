"""The lock of a directory: one process at a time writes to it, and everyone can see whether one does.

The lock is the kernel's `flock` on a file `.lock` in the directory. The kernel releases it when the process ends,
however it ends, so that a lock is never stale. The file names the process; one that is left behind by a killed process
locks nothing. Between the machines of a network file system, the lock holds where the file system supports `flock`
between them (NFS 4 does, unless it is mounted with `local_lock` or `nolock`). Where there is no `flock` at all, a
directory is used without a lock, after a warning.
"""

import contextlib
import fcntl
import os
import socket
import stat
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from vae.errors import UserError
from vae.runs.untrusted import RefusedFileError

NAME = ".lock"
_PATIENCE = 0.2  # seconds to try: `is_locked` holds the lock of a directory for a moment
_INTERVAL = 0.02
_MOST_CHARACTERS = 200  # of what a lock says of its process

_held: set[Path] = set()  # the directories that this process has locked


class LockedError(UserError):
    """Another process writes to a directory."""


@contextlib.contextmanager
def locked(directory: "str | os.PathLike[str]") -> Iterator[None]:
    """Keep other processes from writing to a directory, which must exist.

    A process may lock a directory again that it has locked already.

    Args:
        directory: the directory.

    Raises:
        LockedError: if another process holds its lock.
        UserError: if the directory cannot be written.
    """
    path = Path(directory, NAME)
    key = path.parent.resolve()
    if key in _held:
        yield
        return
    with _acquired(path) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        _held.add(key)
        try:
            yield
        finally:
            _held.remove(key)
            path.unlink(missing_ok=True)


def is_locked(directory: "str | os.PathLike[str]") -> bool:
    """Return True if a process holds the lock of a directory, or if that cannot be told."""
    try:
        with _opened(directory) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, RefusedFileError):
        return False
    except OSError:
        return True
    return False


def holder(directory: "str | os.PathLike[str]") -> str:
    """Return the process that locks a directory in words, such as "process 4711 on host"."""
    with contextlib.suppress(OSError), _opened(directory) as file:
        return file.read(_MOST_CHARACTERS).strip() or "another process"
    return "another process"


def _opened(directory: "str | os.PathLike[str]") -> TextIO:
    """Return the open file of a lock.

    Raises:
        RefusedFileError: if it is no regular file: no lock of ours, on which nothing may wait.
        OSError: if it cannot be opened.
    """
    path = Path(directory, NAME)
    if path.is_symlink() or not stat.S_ISREG(path.stat().st_mode):
        raise RefusedFileError(f"{path}: is no file of ours")
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), errors="replace")


def _acquired(path: Path) -> TextIO:
    """Return the open file of a lock that this process holds until the file is closed."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            file = path.open("a+")
        except OSError as error:
            raise UserError(f"{path.parent}: cannot be written ({error.strerror})") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            if time.monotonic() > deadline:
                raise LockedError(
                    f"{path.parent}: {holder(path.parent)} writes to it; wait until it ends, or name another folder"
                ) from None
            time.sleep(_INTERVAL)
            continue
        except OSError as error:
            warnings.warn(f"{path.parent}: cannot be locked ({error.strerror}); let one process use it", stacklevel=4)
            return file
        if _is_at(path, file):
            return file
        file.close()  # its holder has just deleted it: another process may lock a new one


def _is_at(path: Path, file: TextIO) -> bool:
    """Return True if a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
