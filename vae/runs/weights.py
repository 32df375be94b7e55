"""The weights of a saved model, which Keras keeps in HDF5, looked through before Keras reads them.

The HDF5 library follows the structure of a file in C, without a bound of its own: a megabyte whose parts refer to one
another can take it hours, or all memory. So a process of its own, with little time and memory, follows it first, as far
as Keras will. That process runs this file as a script, and imports nothing of the package.
"""

import io
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import h5py

#: The most groups within one another in a file of weights, and the most members of all; a run has 6 and some hundreds
_MOST_GROUPS, _MOST_MEMBERS = 30, 20_000
#: The most seconds of computing and bytes of memory. The most members of all take 3 s; Python and h5py take 150 MB
_MOST_SECONDS, _MOST_MEMORY = 15, 2**30
_MOST_CHARACTERS = 100  # of the name of a type


def reason_to_refuse(path: Path, start: int, size: int) -> str | None:
    """Return why the weights in an archive are not read, or None if they are as a run writes them.

    Args:
        path: the archive.
        start: the place of the weights in it, in bytes.
        size: their size in bytes.
    """
    numbers = (start, size, _MOST_SECONDS, _MOST_MEMORY)
    script = [sys.executable, "-P", __file__, str(path), *map(str, numbers)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # or each thread takes memory
    done = subprocess.run(
        script, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    if done.returncode == 0:
        return done.stdout or None
    last = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
    return f"its weights cannot be looked through in {_MOST_SECONDS} s and {_MOST_MEMORY >> 20:,} MiB: {last}"


def check_weights(file: io.RawIOBase, size: int) -> None:
    """Check that a file of weights holds plain arrays only, which take no more memory than the file has bytes.

    Args:
        file: the file in HDF5's format, open.
        size: its size in bytes.

    Raises:
        ValueError: saying what it has that no run writes.
        OSError: if it is no HDF5 file, or damaged.
    """
    import h5py

    with h5py.File(file, "r") as weights:
        total = members = 0
        groups = [(weights, 0)]
        while groups:
            group, depth = groups.pop()
            members += len(group)
            if depth > _MOST_GROUPS or members > _MOST_MEMBERS:
                raise ValueError("its weights have more groups than those of a run")
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"its {group.name.rstrip('/')}/{name} is a link, which no run writes")
                found = group[name]
                if isinstance(found, h5py.Group):
                    groups.append((found, depth + 1))
                else:
                    total += _checked_size(found)
    if total > size:
        raise ValueError("its weights overlap, which no run writes")


def _checked_size(found: Any) -> int:
    """Return the size in bytes of what is no group; see `check_weights`."""
    import h5py

    if not isinstance(found, h5py.Dataset) or not (found.dtype.kind in "fiub" or found.dtype == "V2"):  # bfloat16
        raise ValueError(f"its {found.name} holds no numbers, as every array of a run does")
    if found.chunks or found.external or found.nbytes != found.id.get_storage_size():
        raise ValueError(f"its {found.name} is compressed or not stored, which no run writes")
    if "dtype" in found.attrs and not _is_a_word(found.attrs):  # the attribute that Keras reads
        raise ValueError(f"its {found.name} has a type that is no word, which no run writes")
    return int(found.nbytes)


def _is_a_word(attributes: "h5py.AttributeManager") -> bool:
    import h5py

    stored = attributes.get_id("dtype")
    is_one_text = stored.shape == () and h5py.check_string_dtype(stored.dtype) is not None
    return is_one_text and len(attributes["dtype"]) <= _MOST_CHARACTERS


class _Window(io.RawIOBase):
    """A part of a file as a file to read: in `zipfile` of Python 3.11, to go back is to read from the start again."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size, self._place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._place)
        content = self._file.read(min(len(buffer), max(self._size - self._place, 0)))
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)


def _limit(kind: int, most: int) -> None:
    soft, hard = resource.getrlimit(kind)
    limits = (limit for limit in (soft, hard, most) if limit != resource.RLIM_INFINITY)
    resource.setrlimit(kind, (min(limits), hard))


def _main(path: str, *numbers: str) -> None:
    """Print why weights are not read, or nothing; a limit that is exceeded ends the process."""
    start, size, seconds, memory = map(int, numbers)
    _limit(resource.RLIMIT_CPU, seconds)
    _limit(resource.RLIMIT_AS, memory)
    _limit(resource.RLIMIT_CORE, 0)
    with Path(path).open("rb") as file:
        try:
            check_weights(_Window(file, start, size), size)
        except MemoryError:
            raise
        except Exception as error:  # whatever h5py makes of a damaged file
            sys.stdout.buffer.write((str(error) or type(error).__name__).encode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    _main(*sys.argv[1:])
