"""Look for known vulnerabilities in the releases of constraints.txt.

The exit status is 1 if there is one. If the service that knows them cannot be reached, a loud line says that the
releases were not audited, and the status is 0.
"""

import sys

from packaging.version import Version
from pip_audit._service import PyPIService, ResolvedDependency, ServiceError, VulnerabilityService
from releases import releases, version_of
from requests import RequestException

_TIMEOUT = 15  # seconds


def main(service: VulnerabilityService | None = None) -> int:
    """Audit the releases and return the exit status.

    Args:
        service: what knows the vulnerabilities; None for the one of the Python Package Index.
    """
    service = service or PyPIService(timeout=_TIMEOUT)
    pinned = sorted({(release.name, version_of(release)) for release in releases()})
    audited = found = 0
    problem = ""
    for name, version in pinned:
        try:
            known, vulnerabilities = service.query(ResolvedDependency(name, Version(version)))
        except (RequestException, ServiceError) as error:
            problem = f"{type(error).__name__}: {error}"
            break
        if known.is_skipped():
            problem = f"the service does not know {name} {version}"
            if audited == 0:
                break  # it is no service at all: some answer "not found" to every question
            continue
        audited += 1
        found += len(vulnerabilities)
        for vulnerability in vulnerabilities:
            fixed = ", ".join(map(str, vulnerability.fix_versions)) or "no release"
            print(f"VULNERABLE: {name} {version}: {vulnerability.id}, fixed in {fixed}: {vulnerability.description}")
    print(f"known vulnerabilities: {found} in {audited} releases")
    if audited < len(pinned):
        print(f"!!! NOT AUDITED: {len(pinned) - audited} of {len(pinned)} releases ({problem})")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
