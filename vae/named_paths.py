"""Tests of paths that a user names. A name may be longer than the file system allows."""

import errno
from collections.abc import Callable
from pathlib import Path


def is_folder(path: str | Path) -> bool:
    """Return True for a folder; no name that is too long is one, where Python raises an error."""
    return _holds(Path(path).is_dir)


def is_file(path: str | Path) -> bool:
    """Return True for a regular file; see `is_folder`."""
    return _holds(Path(path).is_file)


def _holds(test: Callable[[], bool]) -> bool:
    try:
        return test()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False
