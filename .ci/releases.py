"""The releases in constraints.txt, which CI installs."""

from pathlib import Path

from packaging.requirements import Requirement

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def releases() -> list[Requirement]:
    """Return every line of constraints.txt: a name, its exact version and, if it is not for all machines, a marker."""
    lines = CONSTRAINTS.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def version_of(release: Requirement) -> str:
    """Return the version that a line names.

    Raises:
        ValueError: if the line names no exact version.
    """
    (specifier,) = release.specifier
    if specifier.operator != "==" or "*" in specifier.version:
        raise ValueError(f"{release}: is not an exact version")
    return specifier.version
