"""constraints.txt against pyproject.toml: one exact version of all that CI installs."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from releases import CONSTRAINTS, releases, version_of

from tests.conftest import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
TEXTS = [*PROJECT["dependencies"], *(text for extra in PROJECT["optional-dependencies"].values() for text in extra)]
REQUIREMENTS = [required for text in TEXTS if (required := Requirement(text)).name != PROJECT["name"]]
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]


def versions_for(python: str) -> dict[str, list[str]]:
    """The versions that hold for Linux on a PC, by name."""
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    found: dict[str, list[str]] = {}
    for release in releases():
        if release.marker is None or release.marker.evaluate(machine):
            found.setdefault(canonicalize_name(release.name), []).append(version_of(release))
    return found


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_one_version_that_satisfies_it(python: str) -> None:
    versions = versions_for(python)
    assert REQUIREMENTS
    for required in REQUIREMENTS:
        (version,) = versions[canonicalize_name(required.name)]
        assert required.specifier.contains(version), f"{required}, but constraints.txt has {version}"


@pytest.mark.parametrize("python", PYTHONS)
def test_no_package_has_two_versions(python: str) -> None:
    assert not {name: versions for name, versions in versions_for(python).items() if len(versions) != 1}


def test_there_is_nothing_of_a_machine_in_it() -> None:
    assert not re.findall(r".*(?://|@|--index|--find|/\w+/).*", CONSTRAINTS.read_text())


def test_the_classifiers_name_the_pythons_that_it_requires() -> None:
    assert PYTHONS == ["3.11", "3.12", "3.13"]
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
