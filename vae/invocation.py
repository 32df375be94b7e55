"""How the user calls the commands: `python train.py` in a checkout, `vae-train` where the package is installed."""

import sys
from pathlib import Path

_MODULES = {"compare": "vae.compare"}  # commands of which a checkout has no script
_SCRIPT = Path(__file__).parents[1] / "train.py"


def program(command: str) -> str:
    """Return the name that a command's messages open with, such as `train.py` or `vae-train`.

    Args:
        command: "train", "evaluate" or "compare".
    """
    return f"vae-{command}" if _uses_console_scripts() else _MODULES.get(command, f"{command}.py")


def call(command: str) -> str:
    """Return what to type to call a command, such as `python train.py` or `vae-train`.

    Args:
        command: "train", "evaluate" or "compare".
    """
    if _uses_console_scripts():
        return program(command)
    return f"python -m {program(command)}" if command in _MODULES else f"python {program(command)}"


def _uses_console_scripts() -> bool:
    """Return True if the user called a console script, or if there is no script to call."""
    return Path(sys.argv[0]).name.startswith("vae-") or not _SCRIPT.is_file()
