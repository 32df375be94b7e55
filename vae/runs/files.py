"""Files that are never half written."""

import contextlib
import json
import math
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae.runs.untrusted import RefusedFileError, read_text


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that replaces it at the end of the block.

    If the block raises, the temporary file is deleted and `path` stays as it was.
    """
    temporary = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    temporary.unlink(missing_ok=True)  # a link that was planted there would be written through
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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
