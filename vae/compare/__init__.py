"""Runs compared: as tables, plots and one HTML page. Reads files, and needs no TensorFlow."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae.compare.plots import plots
    from vae.compare.report import write_report
    from vae.compare.runs import load_runs
    from vae.compare.table import comparable, compare, conclusions, default_baseline, differences, last_epochs

__all__ = [
    "comparable",
    "compare",
    "conclusions",
    "default_baseline",
    "differences",
    "last_epochs",
    "load_runs",
    "plots",
    "write_report",
]

_HOME = {
    "comparable": "table",
    "compare": "table",
    "conclusions": "table",
    "default_baseline": "table",
    "differences": "table",
    "last_epochs": "table",
    "load_runs": "runs",
    "plots": "plots",
    "write_report": "report",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"vae.compare.{_HOME[name]}"), name)
        globals()[name] = value  # or the module of this name would stand in its way
        return value
    raise AttributeError(f"module 'vae.compare' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
