"""Comparisons of runs that a stranger sent: names that rewrite a terminal or a page, files that lead out."""

import csv
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client

from tests.compare.conftest import MakeRun
from tests.conftest import Outcome
from vae.compare import load_runs, write_report
from vae.compare.plugin import ComparisonPlugin
from vae.compare.reading import ComparisonReader

HOSTILE = [
    "kl=\x1b]0;title\x07\x1b[31m",
    "model=\u202e</script><script>alert(1)</script>",
    "prior=$\\frac$\n\r",
]


@pytest.fixture
def hostile(runs: Path, make_run: MakeRun) -> Path:
    """Three good configurations, and a run with whatever a name can hold."""
    make_run("hostile\x1b[2J<img src=x>", ["data=digits", *HOSTILE], [-40.0, -30.0])
    return runs


@pytest.mark.parametrize("style", ["table", "csv", "json", "markdown"])
def test_no_control_character_reaches_the_terminal(style: str, hostile: Path, command: Callable[..., Outcome]) -> None:
    ended = command("runs", f"--format={style}")
    assert ended.status == 0, ended.stderr
    shown = ended.stdout + ended.stderr
    assert [sign for sign in shown if not sign.isprintable() and sign != "\n"] == []
    assert "alert" in shown
    assert "kl=analytic" in shown


def test_a_run_whose_name_is_not_text_is_left_out(runs: Path, command: Callable[..., Outcome]) -> None:
    (runs / "backend-0").rename(os.fsdecode(os.fsencode(runs) + b"/backend-\x1b[31m\xff"))
    with pytest.warns(UserWarning, match=r"backend-\\x1b\[31m\\udcff: is not compared; its name must be valid UTF-8"):
        ended = command("runs", "--format=csv")
    assert ended.status == 0, ended.stderr
    counts = {row["configuration"]: row["runs"] for row in csv.DictReader(ended.stdout.splitlines())}
    assert counts == {"kl=analytic": "3", "kl=backend": "2", "kl=keras_loss": "3"}


def test_only_columns_that_are_compared_are_read(runs: Path) -> None:
    """A column is no quantity because its name has no slash."""
    (runs / "analytic-0" / "history.csv").write_text("epoch,step,mine,seconds,validation/elbo\n1,10,5,0.5,-20\n")
    table = ComparisonReader().read(runs).runs
    assert "mine" not in table
    assert {"epoch", "step", "seconds", "validation/elbo"} < {*table}


@pytest.mark.thorough
def test_the_page_and_the_tab_show_text(hostile: Path) -> None:
    (alone,) = hostile.glob("hostile*")
    page = write_report(load_runs(alone, hostile / "analytic-0"), hostile.parent / "report").read_text()
    answer = Client(ComparisonPlugin(TBContext(logdir=str(hostile))).get_plugin_apps()["/comparison"]).get("/")
    assert answer.status_code == 200
    for html in (page, answer.json["html"]):
        assert "<script>alert" not in html
        assert "<img src=x>" not in html
        assert "&lt;script&gt;alert" in html
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", html)


@pytest.mark.thorough
def test_a_picture_behind_a_link_is_not_shown(runs: Path) -> None:
    private = runs.parent / "private.png"
    private.write_bytes(b"\x89PNG\r\n\x1a\nprivate")
    for name in ("reconstructions.png", "samples.png"):
        (runs / "analytic-0" / name).symlink_to(private)
        (runs / "backend-0" / name).write_bytes(b"\x89PNG\r\n\x1a\nown")
    answer = Client(ComparisonPlugin(TBContext(logdir=str(runs))).get_plugin_apps()["/comparison"]).get("/")
    assert re.findall(r'<img src="data:image/png;base64,([^"]*)"', answer.json["html"]) == ["iVBORw0KGgpvd24="] * 2


def test_nothing_is_written_through_a_link(runs: Path, command: Callable[..., Outcome]) -> None:
    outside = runs.parent / "outside"
    outside.mkdir()
    (runs / "comparison").symlink_to(outside)
    ended = command("runs", "--tensorboard")
    assert ended.status == 2
    assert ended.stderr.startswith("vae.compare: DIR=runs: runs/comparison: is a link to")
    assert ended.stderr.count("\n") == 1
    assert not list(outside.iterdir())
