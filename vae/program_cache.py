"""The cache of compiled programs: a program that an earlier process compiled is read from the user's cache folder.

XLA compiles a training program in seconds, longer than a short run computes. TensorFlow can keep such programs in a
folder. A program of the cache is the compiled one, so that it gives the same bits. The folder is one for each version
of TensorFlow, processor, number of threads and set of flags, on all of which the program depends.
"""

import hashlib
import os
import shutil
import time
from importlib.metadata import version
from pathlib import Path

from vae.processes import available_cores

FLAG = "--tf_xla_persistent_cache_directory"
LIMIT = 200  # programs, about 100 MB; the oldest are deleted, except those of the last day, which a run may be reading
FREE_SPACE = 256 * 2**20  # bytes; TensorFlow's error if the disk fills would end the run
_DAY = 24 * 3600


def use_program_cache(threads: int | None = None) -> None:
    """Let TensorFlow, which must not be loaded yet, keep compiled programs in the user's cache folder.

    Nothing is kept if the folder cannot be written, or if the user has set `TF_XLA_FLAGS` to a folder of their own.

    Args:
        threads: the number of threads that TensorFlow computes on; None for one per core.
    """
    flags = os.environ.get("TF_XLA_FLAGS", "")
    if FLAG in flags:
        return
    directory = _directory(threads)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK) or shutil.disk_usage(directory).free < FREE_SPACE:
            return
        _clean(directory)
    except OSError:
        return
    os.environ["TF_XLA_FLAGS"] = f"{flags} {FLAG}={directory}".strip()


def _directory(threads: int | None) -> Path:
    parts = [version("tensorflow"), str(threads or available_cores()), os.environ.get("XLA_FLAGS", ""), _processor()]
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "vae" / "programs" / name


def _processor() -> str:
    """Return what tells whether a program can run on this processor: its name and its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return " ".join(os.uname())
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _clean(directory: Path) -> None:
    """Delete programs that are damaged, which TensorFlow would not survive, and old ones beyond the limit."""
    from google.protobuf.empty_pb2 import Empty
    from google.protobuf.message import DecodeError

    programs = sorted(directory.glob("*.pb"), key=lambda path: path.stat().st_mtime, reverse=True)
    for place, path in enumerate(programs):
        if place >= LIMIT and time.time() - path.stat().st_mtime > _DAY:
            path.unlink(missing_ok=True)
            continue
        try:
            Empty.FromString(path.read_bytes())  # whose unknown fields may be any, but must be whole
        except DecodeError:
            path.unlink(missing_ok=True)
