"""A comparison of some runs: whatever functions compute of them is computed once."""

import functools
import inspect
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")

Details = Callable[[Sequence[str]], pd.DataFrame]


class Comparison:
    """Runs to compare, with all that has been computed of them.

    The functions of `vae.compare` that take the table of `load_runs` take a comparison in its place. Those that are
    called with the same one share their intermediate results, which for thousands of runs take seconds.

    Args:
        runs: the table of `load_runs`. It must not be changed afterwards.
        details: returns the table of some runs, by their names, with columns that `runs` may lack and that only plots
            need; None if `runs` has them all.
    """

    def __init__(self, runs: pd.DataFrame, details: Details | None = None) -> None:
        self.runs = runs
        self._details = details
        self._computed: dict[Hashable, Any] = {}

    @classmethod
    def of(cls, runs: "pd.DataFrame | Comparison") -> "Comparison":
        """Return a comparison of a table of runs; one that is given stays as it is."""
        return runs if isinstance(runs, Comparison) else Comparison(runs)

    def details(self, names: Sequence[str]) -> pd.DataFrame:
        """Return the table of some runs with all columns that there are."""
        return self._details(names) if self._details else self.runs[self.runs["run"].isin({*names})]

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what is known under a key; compute it if nothing is."""
        if key not in self._computed:
            self._computed[key] = compute()
        return self._computed[key]


def computed_once(
    function: Callable[Concatenate[Comparison, P], R],
) -> Callable[Concatenate[pd.DataFrame | Comparison, P], R]:
    """Let a function of a comparison compute each value once, and take a table of runs as well.

    Args:
        function: a function whose first argument is a comparison; the others can be hashed.
    """
    signature = inspect.signature(function)

    @functools.wraps(function)
    def computed(runs: pd.DataFrame | Comparison, /, *args: P.args, **kwargs: P.kwargs) -> R:
        comparison = Comparison.of(runs)
        bound = signature.bind(comparison, *args, **kwargs)
        bound.apply_defaults()
        _, *options = bound.arguments.values()
        value: R = comparison.once((function, *options), lambda: function(*bound.args, **bound.kwargs))
        return value

    return computed
