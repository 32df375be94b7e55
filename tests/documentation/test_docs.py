"""The documentation builds from nothing, and strictly: what leads nowhere fails."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, inherited_environment

pytestmark = pytest.mark.thorough  # the whole documentation built

#: What may not stand in a page, and what the build says of it
MISTAKES = {
    "[a page](no-such-page.md)": "no-such-page.md",
    "[a heading](which-kl.md#no-such-heading)": "no-such-heading",
    "![a picture](images/no-such-picture.png)": "no-such-picture.png",
    "$\\nosuchcommand x$": "unknown command in the formula \\nosuchcommand x",
    "```{literalinclude} ../vae/model.py\n:pyobject: no_such_function\n```": "no_such_function",
    "{py:func}`vae.no_such_name`": "vae.no_such_name",
}


def build(repository: Path) -> tuple[int, str]:
    """The command of docs/conf.py: its status, and what it says. A second time only changed pages are read."""
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


def test_builds_from_nothing_and_strictly(tmp_path: Path) -> None:
    for path in REPOSITORY.iterdir():
        if path.name != "docs":
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(REPOSITORY / "docs", tmp_path / "docs", symlinks=True, ignore=shutil.ignore_patterns("_build"))
    status, said = build(tmp_path)
    assert status == 0, said
    mathematics = (tmp_path / "built" / "mathematics.html").read_text()
    assert "<math " in mathematics
    assert "expm1" in mathematics  # the code of the Gaussians' KL
    assert "GROUP=OPTION" in (tmp_path / "built" / "reference" / "options.html").read_text()

    with (tmp_path / "docs" / "changelog.md").open("a") as page:
        page.write("\n" + "\n\n".join(MISTAKES))
    status, said = build(tmp_path)
    assert status != 0
    assert [mistake for mistake, words in MISTAKES.items() if words not in said] == []
