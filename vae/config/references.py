"""The size of a configuration whose options refer to one another, computed without resolving it.

A reference may lead to options that have references themselves: twenty lines, each of which names the one before it
twice, describe a million values.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vae.errors import UserError

#: The most characters of a resolved configuration; a run's has 4,000
MOST_CHARACTERS = 2**22
_CHARACTERS_OF_A_VALUE = 32  # one more value takes OmegaConf as long as so many characters, at least
#: What a character of a text becomes at most if a resolver is in it: a date is padded up to 256 times, in Python's
#: `strftime`, and Hydra's own configuration has 20,000 characters
_EXPANSIONS = {"${now:": 256, "${hydra:": 2000}
_REFERENCE = re.compile(r"\$\{\s*(?P<up>\.*)(?P<name>[\w.\[\]]+)\s*\}")
_PART = re.compile(r"[^.\[\]]+")

_Path = tuple[str, ...]


def check_references(written: Any) -> None:
    """Check that a configuration stays small when its references are resolved.

    Args:
        written: a configuration in plain containers, interpolations as they were written.

    Raises:
        UserError: if it would have more than `MOST_CHARACTERS`.
    """
    nodes = dict(_nodes(written, ()))
    sizes: dict[_Path, int] = {}

    def size_at(path: _Path) -> int:
        while path and path not in nodes:  # it is in what a reference on the way to it leads to, which is larger
            path = path[:-1]
        if path not in sizes:
            sizes[path] = 0  # until it is known, for a loop, which OmegaConf refuses
            sizes[path] = size_of(nodes[path], path)
        return sizes[path]

    def size_of(node: Any, path: _Path) -> int:
        if isinstance(node, str):
            expansion = max((times for name, times in _EXPANSIONS.items() if name in node), default=1)
            return len(node) * expansion + sum(map(size_at, _targets(node, path)))
        return sum(_CHARACTERS_OF_A_VALUE + size_at((*path, name)) for name, _ in _children(node))

    if size_at(()) > MOST_CHARACTERS:
        raise UserError(f"its options refer to others until they have more than {MOST_CHARACTERS:,} characters")


def _nodes(node: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    yield path, node
    for name, child in _children(node):
        yield from _nodes(child, (*path, name))


def _children(node: Any) -> Iterator[tuple[str, Any]]:
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    return ((str(name), child) for name, child in pairs)


def _targets(text: str, path: _Path) -> Iterator[_Path]:
    """Yield the paths of the options that a text refers to: from the top, or from its own place upwards."""
    for match in _REFERENCE.finditer(text):
        start = path[: -len(match["up"])] if match["up"] else ()
        yield (*start, *_PART.findall(match["name"]))
