"""The documentation builds without warnings, and a broken reference fails the build."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, inherited_environment

pytestmark = pytest.mark.thorough  # builds the whole documentation

#: Mistakes in a page, and words of the warning that each gives
MISTAKES = {
    "[a page](no-such-page.md)": "no-such-page.md",
    "[a heading](which-kl.md#no-such-heading)": "no-such-heading",
    "![a picture](images/no-such-picture.png)": "no-such-picture.png",
    "$\\nosuchcommand x$": "unknown command in the formula \\nosuchcommand x",
    "```{literalinclude} ../vae/model.py\n:pyobject: no_such_function\n```": "no_such_function",
    "{py:func}`vae.no_such_name`": "vae.no_such_name",
}


def build(repository: Path) -> tuple[int, str]:
    """Return the status and stderr of the command in docs/conf.py. A second build reads only changed pages."""
    options = ["-W", "--keep-going", "-n", "-q", "-b", "html"]
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "docs", "built"],
        cwd=repository,
        env=inherited_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_builds_strictly(tmp_path: Path) -> None:
    for path in REPOSITORY.iterdir():
        if path.name != "docs":
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs", symlinks=True, ignore=shutil.ignore_patterns("_build"))
    status, warnings = build(tmp_path)
    assert status == 0, warnings
    mathematics = (tmp_path / "built" / "mathematics.html").read_text()
    assert "<math " in mathematics
    assert "expm1" in mathematics  # the code of the Gaussians' KL
    assert "GROUP=OPTION" in (tmp_path / "built" / "reference" / "options.html").read_text()

    with (tmp_path / "docs" / "changelog.md").open("a") as page:
        page.write("\n" + "\n\n".join(MISTAKES))
    status, warnings = build(tmp_path)
    assert status != 0
    assert [mistake for mistake, words in MISTAKES.items() if words not in warnings] == []
