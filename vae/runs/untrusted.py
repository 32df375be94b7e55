"""What is read from a run's folder, which may come from a stranger: its own regular files, up to a size.

A link that leads out of the folder is neither read nor written through, a pipe or device is not opened, and a file that
is larger than any that a run writes is not read into memory.
"""

import os
import re
import stat
from pathlib import Path
from typing import Any

import yaml

from vae.errors import UserError

MEBIBYTE = 2**20
#: The largest size in bytes of a run's file that is read, by the end of its name. A run of 100 epochs with 1,000 latent
#: variables writes 4 KB of YAML, 120 KB of JSON and 4 MB of CSV.
LIMITS = {
    ".yaml": MEBIBYTE,
    ".json": 16 * MEBIBYTE,
    ".csv": 256 * MEBIBYTE,
    ".png": 32 * MEBIBYTE,
    ".keras": 4096 * MEBIBYTE,
}
#: The most options of a run's configuration that a comparison reads; a run has about a hundred
MOST_OPTIONS = 1000
#: The most options of all runs of a table together, and the most evaluated quantities
MOST_OPTIONS_OF_ALL = 3000
#: The most folders above one another that are searched
MOST_LEVELS = 100
#: The most characters of a text in a run's files that a comparison shows
MOST_CHARACTERS = 1000
_TO_BASE_60 = re.compile(r":[0-5]?\d(?::[0-5]?\d){19}")  # with the first part alone in front, it is found faster
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RefusedFileError(OSError):
    """A file of a run that is not read, with the reason as its message."""


def read_bytes(path: Path, directory: Path) -> bytes:
    """Return the content of a file of a run.

    Args:
        path: the file.
        directory: the run's directory.

    Raises:
        RefusedFileError: if it is a link out of the directory, no regular file or too large.
        OSError: if it cannot be read.
    """
    check_size(path, directory)
    return path.read_bytes()


def check_size(path: Path, directory: Path) -> None:
    """Check that a file of a run is one that is read; see `read_bytes`."""
    status = _checked(path, directory)
    size, limit = status.st_size if status else 0, LIMITS[path.suffix]
    if size > limit:
        shown = f"{size / MEBIBYTE:,.0f} MiB, and at most {limit / MEBIBYTE:,.0f} MiB"
        raise RefusedFileError(f"{path}: has {shown} of a {path.suffix} file are read")


def read_text(path: Path, directory: Path) -> str:
    """Return the text of a file of a run, as `read_bytes` does.

    Raises:
        UnicodeDecodeError: if it is not UTF-8.
    """
    return read_bytes(path, directory).decode("utf-8")


def read_yaml_text(path: Path, directory: Path) -> str:
    """Return the text of a YAML file of a run, as `read_text` does.

    Raises:
        yaml.YAMLError: if it has what a run does not write: aliases, by which a short text describes a huge
            configuration; tags, which PyYAML takes for values that they do not fit; or a number of many parts to the
            base 60, which takes it a time that is quadratic in their number.
    """
    text = read_text(path, directory)
    if "*" in text or "!" in text or _TO_BASE_60.search(text):
        for event in yaml.parse(text, _YAML):
            if foreign := _foreign(event):
                raise yaml.YAMLError(f"it has {foreign}, which a run does not write")
    return text


def _foreign(event: yaml.Event) -> str | None:
    """Return what a part of a YAML text is that no run writes, or None."""
    if isinstance(event, yaml.AliasEvent):
        return "aliases"
    if getattr(event, "tag", None) is not None:
        return "tags"
    is_plain = isinstance(event, yaml.ScalarEvent) and event.implicit[0]
    return "numbers to the base 60" if is_plain and _TO_BASE_60.search(event.value) else None


def read_yaml(path: Path, directory: Path) -> Any:
    """Return the content of a YAML file of a run in plain containers; see `read_yaml_text`."""
    return parsed_yaml(read_yaml_text(path, directory))


def parsed_yaml(text: str) -> Any:
    """Return the content of a YAML text in plain containers, none of which is an object of a class."""
    return yaml.load(text, _YAML)  # a safe loader


def check_files(directory: Path, option: str) -> None:
    """Check everything in and below a directory of runs before a command reads or writes there.

    Args:
        directory: the directory. It need not exist.
        option: the option that named it, for messages.

    Raises:
        UserError: naming a link out of the directory, what is neither a file nor a folder, or a folder that lies deeper
            in it than any of a run.
    """
    for folder, children, files in os.walk(directory):
        if children and is_deepest(folder, directory):
            raise UserError(f"{option}={directory}: {folder}: has folders more than {MOST_LEVELS} deep, as no run has")
        for name in (*children, *files):
            try:
                _checked(Path(folder, name), directory)
            except RefusedFileError as error:
                raise UserError(f"{option}={directory}: {error}") from None


def is_deepest(folder: str, directory: str | Path) -> bool:
    """Return True if a folder lies so deep in a directory that the folders in it are not searched.

    Each level is a call within a call in Python 3.11, which allows a thousand.
    """
    return len(Path(folder).relative_to(directory).parts) >= MOST_LEVELS


def _checked(path: Path, directory: Path) -> os.stat_result | None:
    """Return the status of what lies in a directory, or None if it cannot be seen: reading it will say why.

    Raises:
        RefusedFileError: if it is a link out of the directory, or neither a file nor a folder.
    """
    depth = len(directory.parts)
    names = path.parts[depth:]
    names_say = path.parts[:depth] == directory.parts and ".." not in names  # where it lies, if no name is a link
    below = [path, *path.parents[: max(len(names) - 1, 0)]]
    if not names_say or any(map(Path.is_symlink, below)):  # resolving every path takes seconds of thousands of runs
        try:
            target = path.resolve()
        except RuntimeError:  # as Python 3.11 and 3.12 say it
            raise RefusedFileError(f"{path}: is a link to itself; must lie in the run's own folder") from None
        if not target.is_relative_to(directory.resolve()):
            raise RefusedFileError(f"{path}: is a link to {target}; must lie in the run's own folder")
    try:
        status = path.stat()
    except OSError:
        return None
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise RefusedFileError(f"{path}: is a device, a pipe or a socket; must be a file")
    return status
