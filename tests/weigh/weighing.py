"""Shared by the tests of vae.weigh: the losses in the frameworks' own words, by file and name."""

from pathlib import Path
from typing import Any

from vae.weigh import Report, weigh
from vae.weigh.target import load

LOSSES = Path(__file__).parent / "losses"


def weighed(target: str, **options: Any) -> Report:
    """The report on `FILE.py:NAME` among the losses, as the command makes it."""
    loss, imports = load(f"{LOSSES}/{target}")
    return weigh(loss, imports=imports, **options)
