"""docs/reference/licenses.md lists every dependency, with the license that the installed release states."""

import re
from importlib.metadata import PackageNotFoundError, distribution

from licenses import license_of
from packaging.utils import canonicalize_name
from releases import releases, version_of

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs" / "reference" / "licenses.md").read_text()
LISTED = dict(re.findall(r"^\| `(.*)` \| (.*) \|$", PAGE, re.MULTILINE))
LINUX = {"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64", "python_full_version": "3.11.7"}
RELEASES = [one for one in releases() if one.marker is None or one.marker.evaluate(LINUX)]


def test_every_dependency_is_listed() -> None:
    assert {canonicalize_name(release.name) for release in RELEASES} == set(LISTED)


def test_the_licenses_are_those_of_the_installed_releases() -> None:
    compared = 0
    for release in RELEASES:
        try:
            installed = distribution(release.name)
        except PackageNotFoundError:
            continue
        if installed.version == version_of(release):
            assert LISTED[canonicalize_name(release.name)] == license_of(installed.metadata.json), release
            compared += 1
    assert compared > 100
