"""Print the licenses of all dependencies as the page docs/reference/licenses.md.

They are those that the releases in constraints.txt state about themselves, read without installing anything:

    pip install --dry-run --ignore-installed --quiet --report report.json -c constraints.txt '.[dev,bench]'
    python .ci/licenses.py report.json > docs/reference/licenses.md
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from releases import releases

_PREFIX = "License :: "
_OPENING = """\
# Licenses

This project is under Apache-2.0. These are the licenses of everything that `pip install '.[dev,bench]'` installs on
Linux, as each release in `constraints.txt` states it. `.ci/licenses.py` prints this page, and a test compares it with
the packages that are installed.

- The package itself and the extras `test`, `docs`, `notebook` and `sweep` need nothing proprietary. `nvidia-*`,
  `cuda-*` and `triton` come with PyTorch, in the extras `frameworks` and `bench`, except in its build for CPUs alone.
- `docutils`, for the documentation, is in the public domain but for a few files under other licenses.
- `namex` and `cuda-toolkit` state no license in their metadata; `namex` has that of Apache-2.0 as a file.
- D3 and Observable Plot are part of the package, in `vae/compare/browser/`, with their licenses in `LICENSES.txt`.

| package | license |
| --- | --- |
"""


def main(report: Path) -> None:
    """Print the page from pip's report of an installation."""
    metadata = [package["metadata"] for package in json.loads(report.read_text(encoding="utf-8"))["install"]]
    pinned = {canonicalize_name(release.name) for release in releases()}
    licenses = {canonicalize_name(fields["name"]): license_of(fields) for fields in metadata}
    print(page({name: licenses[name] for name in pinned & licenses.keys()}))


def license_of(fields: Mapping[str, Any]) -> str:
    """Return the license that a release states: its SPDX expression, its classifiers, or its words.

    Args:
        fields: the fields of its core metadata, by the names of PEP 566's JSON.
    """
    if expression := fields.get("license_expression"):
        return str(expression)
    classifiers = [text for text in fields.get("classifier", ()) if text.startswith(_PREFIX)]
    if named := [text.rpartition(" :: ")[2] for text in classifiers if not text.endswith(":: OSI Approved")]:
        return ", ".join(named)
    first, *_ = str(fields.get("license") or "not stated").strip().splitlines()
    return first.strip()


def page(licenses: Mapping[str, str]) -> str:
    """Return the page, with a row for every package."""
    rows = [f"| `{name}` | {license} |" for name, license in sorted(licenses.items())]
    return _OPENING + "\n".join(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
