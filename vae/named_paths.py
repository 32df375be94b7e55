"""What a path leads to that a user names. Python raises an error of a name that is too long for the file system."""

from pathlib import Path


def is_folder(path: str | Path) -> bool:
    """Return True for a folder; False as well for one whose name is too long, or that cannot be seen."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def is_file(path: str | Path) -> bool:
    """Return True for a regular file; see `is_folder`."""
    try:
        return Path(path).is_file()
    except OSError:
        return False
