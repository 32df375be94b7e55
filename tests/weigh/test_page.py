"""docs/what-is-my-beta.md: every example prints what the page shows, and every recipe has the figure of its table."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from vae.weigh.__main__ import main

PAGE = (REPOSITORY / "docs" / "what-is-my-beta.md").read_text()
#: File name, imported framework, code, arguments and shown output of every example
EXAMPLES = re.findall(
    r"```py\n# (\w+\.py)\nimport (\w+)(.*?)```.*?```bash\npython -m vae\.weigh (.*?)\n```\n\n```text\n(.*?)```",
    PAGE,
    re.DOTALL,
)
RECIPES = re.findall(r"^\| .* \| `((\w+)_losses\.py:.*)` \| ([\d.]+) \|$", PAGE, re.MULTILINE)


def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: str) -> list[str]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(shlex.split(arguments)) == 0
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("file", "module", "code", "arguments", "shown"), EXAMPLES, ids=[each[0] for each in EXAMPLES])
def test_an_example_prints_what_the_page_shows(
    file: str,
    module: str,
    code: str,
    arguments: str,
    shown: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(module, reason=f"{module} is not installed")
    (tmp_path / file).write_text(f"import {module}{code}")
    monkeypatch.chdir(tmp_path)
    lines = printed(capsys, monkeypatch, arguments)
    assert [line for line in shown.splitlines() if line not in lines] == []


@pytest.mark.thorough
@pytest.mark.parametrize(("arguments", "framework", "beta"), RECIPES, ids=[each[0].split()[0] for each in RECIPES])
def test_a_recipe_has_the_figure_of_the_table(
    arguments: str, framework: str, beta: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(framework, reason=f"{framework} is not installed")
    monkeypatch.chdir(REPOSITORY / "tests" / "weigh" / "losses")
    lines = printed(capsys, monkeypatch, arguments)
    assert any(re.match(rf"effective beta  {re.escape(beta)}( |$)", line) for line in lines), lines


def test_the_page_has_an_example_of_every_framework() -> None:
    assert [each[1] for each in EXAMPLES] == ["torch", "keras", "jax", "numpy"]
    assert len(RECIPES) == 6
