"""The identity of a run: which options make two runs the same training, and which may differ."""

from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

#: Options that say where the data lies on this machine
DATA_PLACES = frozenset({"data.dir", "data.manual_dir", "data.unpacked_dir", "data.weights"})
#: Options that name a file. Another file makes another run, but the file may move: only its name identifies the run.
FILES = frozenset({"data.weights"})
#: Options of how a run is computed or reported, but not of what it computes
_COMPUTATION = frozenset(
    {"metric", "resume", "trainer.audit_interval", "trainer.checkpoint_seconds", "trainer.threads", "trust"}
)
#: Options that may change when a run resumes. `trainer.epochs` may, too, but two runs that differ in it are different.
CHANGEABLE_ON_RESUME = (DATA_PLACES - FILES) | _COMPUTATION
#: Options in which runs of one configuration differ. A comparison averages over them.
NOT_COMPARED = CHANGEABLE_ON_RESUME | {"seed", "trainer.chunk"}
#: Classes that a run of version 0.1.0 names by the module that they were in
MOVED_CLASSES = {"vae.objective.ELBO": "vae.objectives.ELBO"}


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested dictionaries by their dotted names: `{"kl": {"points": 2}}` gives `{"kl.points": 2}`.

    An empty dictionary has no leaves. `pandas.json_normalize` gives the same, but the command line needs this before
    anything slow is imported, and pandas takes 0.3 s; for 2,000 configurations it also takes twice as long.
    """
    leaves: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, dict):
            leaves |= flatten(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def with_current_names(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat options with the classes of earlier versions under their present names."""
    moved = {
        name: MOVED_CLASSES[str(value)]
        for name, value in options.items()
        if name.endswith("_target_") and str(value) in MOVED_CLASSES
    }
    return {**options, **moved}


def identifying_value(name: str, value: Any) -> Any:
    """Return the part of an option's value that identifies a run: a file's name, or the whole value."""
    return PurePath(value).name if name in FILES and isinstance(value, str) else value


def differing_options(
    before: Mapping[str, Any], now: Mapping[str, Any], ignored: Collection[str] = CHANGEABLE_ON_RESUME
) -> list[str]:
    """Return the names of the options that differ between two configurations and that identify a run.

    An option that is missing equals one that is null, so that a new option does not make an old run another one.

    Args:
        before: a configuration, nested or flat.
        now: another.
        ignored: options that do not count; by default those that may change when a run resumes.
    """
    first, second = (with_current_names(flatten(options)) for options in (before, now))
    return sorted(
        name
        for name in (first.keys() | second.keys()) - set(ignored)
        if identifying_value(name, first.get(name)) != identifying_value(name, second.get(name))
    )
