"""The size of a configuration whose options refer to one another, computed without resolving it.

A reference may lead to options that have references themselves: twenty lines, each of which names the one before it
twice, describe a million values. A run's own folder may hold references of the form `${name}`, which are followed here,
dates and quotients, and no other resolver without a word of the user's (`vae.config.trust`).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vae.config.parts import Path, children, parts
from vae.errors import UserError

#: The most characters of a resolved configuration; a run's has 4,000
MOST_CHARACTERS = 2**20
#: One more value, or one more reference, takes OmegaConf as long as so many characters
_CHARACTERS_OF_A_VALUE, _CHARACTERS_OF_A_REFERENCE = 32, 64
_EXPANSION_OF_A_DATE = 256  # of a character at most, in Python's `strftime`, by padding
_MOST_HOPS = 100  # from one option to the one that it stands for, and so on
_REFERENCE = re.compile(r"\$\{\s*(?P<up>\.*)(?P<name>[\w.\[\]]+)\s*\}")
_PART = re.compile(r"[^.\[\]]+")


def check_references(written: Any) -> None:
    """Check that a configuration stays small when its references are resolved.

    Args:
        written: a configuration in plain containers, interpolations as they were written. Of Hydra's own node only
            that counts to which others refer.

    Raises:
        UserError: if it would have more than `MOST_CHARACTERS`, or an option refers to itself.
    """
    nodes = dict(parts(written))
    sizes: dict[Path, int | None] = {}

    # `referring` is the option whose reference has led to a place: in a circle, the one to give a value
    def size_at(path: Path, referring: Path) -> int:
        if path not in sizes:
            sizes[path] = None  # until it is known
            sizes[path] = size_of(nodes[path], path, referring)
        if (size := sizes[path]) is None:
            raise _circle(referring)
        return size

    def size_of(node: Any, path: Path, referring: Path) -> int:
        if isinstance(node, str):
            places = [_place_of(target, nodes, path) for target in _targets(node, path)]
            length = len(node) + sum(
                _CHARACTERS_OF_A_REFERENCE + size_at(place, path) for place in places if place is not None
            )
            return length * _EXPANSION_OF_A_DATE ** _depth(node) if "${now:" in node else length
        return sum(_CHARACTERS_OF_A_VALUE + size_at((*path, name), referring) for name, _ in children(node))

    if sum(size_at((name,), ()) for name, _ in children(written) if name != "hydra") > MOST_CHARACTERS:
        raise UserError(f"its options refer to others until they have more than {MOST_CHARACTERS:,} characters")


def _circle(path: Path) -> UserError:
    return UserError(f"{'.'.join(map(str, path))}: refers to itself, by what its reference leads to; give it a value")


def _targets(text: str, path: Path) -> Iterator[Path]:
    """Yield the options that a text refers to as they are written: from the top, or from its own place upwards."""
    for match in _REFERENCE.finditer(text):
        start = path[: -len(match["up"])] if match["up"] else ()
        yield (*start, *_PART.findall(match["name"]))


def _place_of(target: Path, nodes: Mapping[Path, Any], referring: Path, hops: int = 0) -> Path | None:
    """Return the place of the option that a reference leads to, or None if there is none, which OmegaConf refuses.

    An option on the way may be a reference itself, which leads to another place.
    """
    if hops > _MOST_HOPS:
        raise _circle(referring)
    place: Path = ()
    for number, part in enumerate(target):
        node = nodes[place]
        if isinstance(node, str):
            if not _REFERENCE.fullmatch(node):
                return None
            (onward,) = _targets(node, place)
            return _place_of((*onward, *target[number:]), nodes, referring, hops + 1)
        place = (*place, _index(part) if isinstance(node, list) else part)
        if place not in nodes:
            return None
    return place


def _index(part: str) -> int | None:
    """Return the index of a list that a part of a reference is."""
    try:
        return int(part)
    except ValueError:
        return None


def _depth(text: str) -> int:
    """Return how many interpolations stand within one another in a text, at most."""
    depth = deepest = 0
    for bracket in re.findall(r"\$\{|\}", text):
        depth = max(depth + (1 if bracket != "}" else -1), 0)
        deepest = max(deepest, depth)
    return deepest
