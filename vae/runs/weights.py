"""The weights of a saved model, which Keras keeps in HDF5, copied into a new file by a process of its own.

The HDF5 library follows the structure of a file in C, without a bound of its own: a megabyte whose parts refer to one
another keeps it busy without end, or takes all memory, and what it finds by name need not be what it lists. So Keras
never reads a file that may come from a stranger. A process with little time and memory reads it, and writes the arrays
that it finds into a new one, which has nothing else of the old. That process runs this file as a script, and imports
nothing of the package.
"""

import contextlib
import errno
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

#: The most groups within one another in a file of weights, and the most members of all; a run has 6 and some hundreds
_MOST_GROUPS, _MOST_MEMBERS = 30, 20_000
#: The most seconds of computing, besides one for each 10 MB. The most members of all take 6 s
_MOST_SECONDS = 15
#: The most bytes of memory besides twice the weights. Python and h5py take 150 MB
_MOST_MEMORY = 2**30
#: So many times as long it may take by the clock, on a machine that is busy
_SECONDS_OF_THE_CLOCK = 10
_REFUSED, _FULL = 3, 4  # statuses of the process: the weights are refused, or their copy cannot be written
_MOST_CHARACTERS = 1000  # of a reason
_BFLOAT16 = "V2"  # as h5py reads it


def copy_weights(path: Path, copy: Path) -> str | None:
    """Copy a file of weights, and return why it is not as a run writes it, or None.

    Args:
        path: the file in HDF5's format.
        copy: the new one.

    Raises:
        OSError: if the copy cannot be written, or the process was killed.
    """
    size = path.stat().st_size
    seconds, memory = _MOST_SECONDS + size // 10_000_000, _MOST_MEMORY + 2 * size
    script = [sys.executable, "-P", __file__, str(path), str(copy), str(seconds), str(memory)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # or each thread takes memory
    refusal = f"its weights cannot be copied in {seconds} s and {memory >> 20:,} MiB: "
    try:
        done = subprocess.run(
            script,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS_OF_THE_CLOCK * seconds,
        )
    except subprocess.TimeoutExpired:
        return refusal + "it waits"
    if done.returncode == _FULL:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy))
    if -done.returncode in (signal.SIGKILL, signal.SIGTERM):
        raise OSError(errno.ENOMEM, "the process that copies was killed, perhaps for lack of memory")
    if done.returncode == _REFUSED:
        return done.stdout
    last = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
    return refusal + last if done.returncode else None


def copy_arrays(source: "h5py.File", target: "h5py.File", size: int) -> None:
    """Copy groups and plain arrays, which must take no more memory than the file has bytes.

    Args:
        source: the weights of a saved model.
        target: a new file.
        size: the size of the source in bytes.

    Raises:
        ValueError: saying what it has that no run writes.
        OSError: if it is damaged.
    """
    import h5py

    members = total = 0
    groups = [(source, target, 0)]
    while groups:
        group, copy, depth = groups.pop()
        members += len(group)
        if depth > _MOST_GROUPS or members > _MOST_MEMBERS:
            raise ValueError("its weights have more groups than those of a run")
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"its {group.name.rstrip('/')}/{name} is a link, which no run writes")
            found = group[name]
            if isinstance(found, h5py.Group):
                groups.append((found, copy.create_group(name), depth + 1))
                continue
            _check_array(found)
            total += found.nbytes
            if total > size:
                raise ValueError("its weights overlap, which no run writes")
            array = copy.create_dataset(name, data=found[()], dtype=found.dtype.str)  # and nothing else of its type
            if found.dtype == _BFLOAT16:
                array.attrs["dtype"] = "bfloat16"  # as Keras marks it


def _check_array(found: Any) -> None:
    """Check that what is no group is an array of numbers that is stored as it is."""
    import h5py

    if not isinstance(found, h5py.Dataset) or not (found.dtype.kind in "fiub" or found.dtype == _BFLOAT16):
        raise ValueError(f"its {found.name} holds no numbers, as every array of a run does")
    is_elsewhere = found.is_virtual or found.external  # the sources of a virtual array are opened to know its shape
    if is_elsewhere or found.chunks or found.nbytes != found.id.get_storage_size():
        raise ValueError(f"its {found.name} is compressed or not stored, which no run writes")


def _limit(kind: int, most: int) -> None:
    soft, hard = resource.getrlimit(kind)
    limits = (limit for limit in (soft, hard, most) if limit != resource.RLIM_INFINITY)
    with contextlib.suppress(ValueError):  # macOS takes no limit of memory
        resource.setrlimit(kind, (min(limits), hard))


def _main(path: str, copy: str, seconds: str, memory: str) -> None:
    """Copy the weights, or print why they are refused; a limit that is exceeded ends the process."""
    _limit(resource.RLIMIT_CPU, int(seconds))
    _limit(resource.RLIMIT_AS, int(memory))
    _limit(resource.RLIMIT_CORE, 0)
    import h5py

    try:
        with h5py.File(path, "r") as source, h5py.File(copy, "w") as target:
            copy_arrays(source, target, Path(path).stat().st_size)
    except MemoryError:
        raise
    except Exception as error:  # whatever h5py makes of a damaged file
        problem = re.search(r"errno = (\d+)", str(error))
        if problem and int(problem[1]) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            sys.exit(_FULL)
        reason = (str(error) or type(error).__name__)[:_MOST_CHARACTERS]
        sys.stdout.buffer.write(reason.encode("utf-8", "backslashreplace"))
        sys.stdout.flush()
        sys.exit(_REFUSED)


if __name__ == "__main__":
    _main(*sys.argv[1:])
