"""The loss that `my_code.py:loss` names."""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from vae.errors import UserError, kind_and_first_line
from vae.named_paths import is_file
from vae.weigh import frameworks


def load(target: str) -> tuple[Callable[..., Any], set[str]]:
    """Return a loss, and the modules that its file imports, in double precision.

    The file is run as an import runs it, after the frameworks that it imports were loaded.

    Args:
        target: FILE.py:NAME or MODULE:NAME. NAME may have dots; a class is called without arguments.

    Raises:
        UserError: naming the part of the target that is wrong.
    """
    place, _, name = target.rpartition(":")
    if not place or not all(part.isidentifier() for part in name.split(".")):
        raise UserError("give the loss with its file or module, as my_code.py:loss")
    imported = _imports(_source(place))
    frameworks.load(imported)
    with frameworks.double_precision():
        try:
            found: Any = _module(place)
        except (Exception, SystemExit) as error:
            raise UserError(f"{place} cannot be imported: {kind_and_first_line(error)}") from error
        for part in name.split("."):
            if not hasattr(found, part):
                raise UserError(f"there is no {part} in {place}; there are {_functions(found) or 'none'}")
            found = getattr(found, part)
        if isinstance(found, type):
            try:
                found = found()
            except Exception as error:
                raise UserError(
                    f"{name} is a class that cannot be built without arguments ({kind_and_first_line(error)}); name a "
                    "function, or an instance"
                ) from error
    if not callable(found):
        raise UserError(f"{name} is of type {type(found).__name__}, not a function")
    return found, imported


def _source(place: str) -> Path:
    """Return the file of a target's part before the colon, without running it."""
    if place.endswith(".py"):
        if not is_file(place):
            raise UserError(f"there is no file {place}")
        return Path(place)
    try:
        spec = importlib.util.find_spec(place.partition(".")[0])
        spec = importlib.util.find_spec(place) if spec and "." in place else spec
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise UserError(f"there is no module {place}, neither in this folder nor installed")
    return Path(spec.origin or "")


def _imports(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, anywhere in it; nothing if it cannot be read as Python."""
    try:
        source = path.read_bytes()
        tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return set()
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    modules = {name.partition(".")[0] for name in names}
    return modules | {"keras"} if "tensorflow" in modules and b"keras" in source else modules


def _module(place: str) -> ModuleType:
    """Import a file, with its folder on the path as Python does for a script, or a module."""
    if not place.endswith(".py"):
        return importlib.import_module(place)
    path = Path(place).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(f"weighed_{path.stem}", path)  # a random.py hides no other module
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for the module of a class
    spec.loader.exec_module(module)
    return module


def _functions(found: Any) -> str:
    own = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
    return ", ".join(own[:8])
