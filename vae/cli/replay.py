"""The overrides that a run stored, as a resume gives them to Hydra again. They may come from a stranger.

Hydra takes more from a command line than values of options: flags, folders of configurations, packages by which an
option lands in Hydra's own node, whose classes it builds before any check of ours. None of that is taken from a run.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException

from vae.config.groups import GROUPS
from vae.config.stored import refuse_untrusted
from vae.config.trust import foreign_names, foreign_resolvers
from vae.errors import UserError, first_line
from vae.options import shown
from vae.runs.paths import RunDirectory
from vae.runs.untrusted import MOST_OPTIONS, read_yaml

#: An option or a group, whose choice may be put into a part of another group: kl@audit.NAME
_OVERRIDE = re.compile(
    rf"(?:\+\+?|~)?(?P<name>[A-Za-z_][\w-]*(?:[./][\w-]+)*(?:@(?:{'|'.join(GROUPS)})(?:\.[\w-]+)*)?)(?:=.*)?",
    re.DOTALL | re.ASCII,
)
#: The most characters of all overrides of a run, which Hydra takes ten seconds to parse; a run's has some hundreds
_MOST_CHARACTERS = 20_000
_MOST_LEVELS = 30  # of an option within others
_SHOWN = 160  # characters of an override that is refused


def stored_overrides(directory: str, option: str, trusted: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield the overrides that a run stored, each after the name of its option, without Hydra's own and `trust`.

    Args:
        directory: the run's directory.
        option: the option that named it, for messages.
        trusted: modules whose classes the user allows it to name.

    Raises:
        UserError: if one is not an override of an option of a run, or names a class that is not trusted.
    """
    run, place = RunDirectory(directory), f"{option}={directory}"
    try:
        overrides = read_yaml(run.overrides, run.path)
    except Exception as error:  # whatever a damaged file makes of the parser
        raise UserError(f"{place}: its .hydra/overrides.yaml is damaged ({first_line(error)})") from None
    texts = overrides if isinstance(overrides, list) else [overrides]
    length = sum(len(text) for text in texts if isinstance(text, str))
    if len(texts) > MOST_OPTIONS or length > _MOST_CHARACTERS:
        raise UserError(
            f"{place}: its .hydra/overrides.yaml has {len(texts):,} overrides of {length:,} characters, and at most "
            f"{MOST_OPTIONS:,} of {_MOST_CHARACTERS:,} are read"
        )
    for text in texts:
        match = _OVERRIDE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise _refused(place, text, "is no override of an option")
        name = match["name"]
        if name.startswith("hydra") or name == "trust":  # they are for the user to give
            continue
        values = _values_of(text, place)
        refuse_untrusted(foreign_resolvers(values) or foreign_names(values), place, trusted)
        yield name, text


def _values_of(text: str, place: str) -> dict[str, Any]:
    """Return what an override sets, as a configuration in plain containers.

    Raises:
        UserError: if it is none of a single run, or chooses an option by a path.
    """
    try:
        override = OverridesParser.create().parse_override(text)
        value = _plain_value(override)
    except (HydraException, RecursionError, ValueError):  # ValueError: a number of thousands of digits
        override = None
    if override is None or override.is_sweep_override():
        raise _refused(place, text, "Hydra does not take for one run")
    if "." not in override.key_or_group and ".." in shown(value):
        raise _refused(place, text, "leads out of the configurations")
    if override.key_or_group in GROUPS and isinstance(value, str) and "." in value:
        value = {"_target_": value}  # a class in place of an option's name
    *nodes, last = (override.package or override.key_or_group).split(".")
    if len(nodes) > _MOST_LEVELS:
        raise _refused(place, text, "names a part of a part more often than any run does")
    values = {last: value}
    for name in reversed(nodes):
        values = {name: values}
    return values


def _refused(place: str, override: Any, reason: str) -> UserError:
    return UserError(f"{place}: its .hydra/overrides.yaml holds {shown(override)[:_SHOWN]}, which {reason}")


def _plain_value(override: Override) -> Any:
    def plain(value: Any) -> Any:
        if isinstance(value, QuotedString):
            return value.text
        if isinstance(value, list):
            return [plain(item) for item in value]
        if isinstance(value, dict):
            return {plain(key): plain(item) for key, item in value.items()}
        return value

    return plain(override.value())
