"""What the runs of a sweep share in a process. Needs no TensorFlow."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")

#: Things that are kept: a sweep seldom goes through more kinds of runs before it comes back to the first
LIMIT = 8

_kept: OrderedDict[Hashable, Any] = OrderedDict()


def shared(key: Hashable | None, make: Callable[[], T]) -> T:
    """Return what was made under a key in this process; make it if there is nothing, or if the key is None."""
    if key is None:
        return make()
    if key not in _kept:
        _kept[key] = make()
        if len(_kept) > LIMIT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    kept: T = _kept[key]
    return kept
