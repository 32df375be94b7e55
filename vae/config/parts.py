"""The parts of a configuration in plain containers: every mapping, list and value in it."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Path = tuple[Any, ...]  # keys of YAML need not be texts


def parts(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every part with the keys and indices that lead to it, the whole among them."""
    yield path, node
    for name, child in children(node):
        yield from parts(child, (*path, name))


def children(node: Any) -> Iterable[tuple[Any, Any]]:
    """Return the parts of one mapping or list, each with its key or index; a value has none."""
    return node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()


def texts(node: Any) -> Iterator[str]:
    """Yield every text, keys included."""
    for path, part in parts(node):
        yield from (text for text in (*path[-1:], part) if isinstance(text, str))
