"""TensorBoard's tab, asked as its browser side asks it; tests/documentation/test_tab.py looks at it in a browser."""

import html
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client

from tests.compare.conftest import MakeRun
from tests.conftest import REPOSITORY
from vae.compare import conclusions, draw_plots, load_runs
from vae.compare.plugin import ComparisonPlugin

Ask = Callable[..., dict[str, Any]]


def plugin_of(directory: Path | str) -> ComparisonPlugin:
    return ComparisonPlugin(TBContext(logdir=str(directory)))


@pytest.fixture
def ask(runs: Path) -> Ask:
    """A function that asks one tab over the runs, and returns its JSON, in which there must be no NaN."""
    client = Client(plugin_of(runs).get_plugin_apps()["/comparison"])

    def asked(status: int = 200, **query: str) -> dict[str, Any]:
        response = client.get("/", query_string=query)
        assert response.status_code == status
        answer: dict[str, Any] = json.loads(response.text, parse_constant=pytest.fail)
        return answer

    return asked


def test_tensorboard_finds_the_tab() -> None:
    (found,) = importlib.metadata.entry_points(group="tensorboard_plugins", name="vae_comparison")
    assert found.load() is ComparisonPlugin


def test_the_tab_has_the_verdicts_and_the_plots_of_the_comparison(ask: Ask, runs: Path) -> None:
    answer, table = ask(), load_runs(runs)
    for sentence in conclusions(table):
        assert html.escape(sentence, quote=False) in html.unescape(answer["html"])
    for cell in ("baseline", "+0.00 ± 0.25, equivalent", "-5.10 ± 0.90, differs"):
        assert f"<td>{cell}</td>" in answer["html"]
    (drawn,) = answer["plots"][0]["panels"][0]["series"]
    color, dash = drawn["style"].values()
    swatch = rf'stroke="{color}"\s+stroke-width="2.5" stroke-dasharray="{dash}"/></svg>{drawn["name"]}: '
    assert re.search(swatch, answer["html"])  # a verdict has the color and line style of its curve
    expected = [plot.to_json() for plot in draw_plots(table.assign(run=table["run"].map(lambda run: Path(run).name)))]
    assert answer["plots"] == json.loads(json.dumps(expected))
    assert answer["baseline"] == "kl=analytic"
    assert {*answer["baselines"]} == {"kl=analytic", "kl=backend", "kl=keras_loss"}
    assert answer["runs"] == 9


def test_a_choice_changes_the_comparison(ask: Ask) -> None:
    by_backend = ask(baseline="kl=backend")
    assert by_backend["baseline"] == "kl=backend"
    assert [panel["title"] for panel in by_backend["plots"][0]["panels"]] == ["kl=analytic", "kl=keras_loss"]
    assert by_backend["version"] != ask()["version"]
    assert "equivalent to kl=analytic within 9 nats" in ask(margin="9")["html"]
    of_units = ask(quantity="active_units")["plots"][0]
    assert (of_units["y"]["label"], of_units["y"]["scale"], of_units["y"]["margin"]) == ("active units", "linear", 0.0)
    of_kl = ask(quantity="kl")
    assert of_kl["quantity"] == "kl"
    assert of_kl["plots"][0]["title"].startswith("KL minus the baseline's")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"quantity": "x"}, "quantity=x: must be one of elbo, "),
        ({"margin": "0"}, "margin=0: must be a number of nats greater than 0"),
        ({"margin": "nan"}, "margin=nan: must be"),
        ({"margin": "a"}, "margin=a: must be"),
    ],
)
def test_a_mistake_is_named(ask: Ask, query: dict[str, str], words: str) -> None:
    assert ask(400, **query)["error"].startswith(words)


def test_a_baseline_that_is_gone_gives_way_to_the_default(ask: Ask) -> None:
    assert ask(baseline="kl=deleted")["baseline"] == "kl=analytic"


def test_an_open_tab_follows_the_training(ask: Ask, runs: Path, make_run: MakeRun) -> None:
    first = ask()
    assert ask(version=first["version"]) == {"version": first["version"], "runs": 9}
    with (runs / "backend-0" / "history.csv").open("a") as file:
        file.write("3,30,1.5,-19.0,3,3,3,3,0,3,3,3,3,3\n")
    second = ask(version=first["version"])
    assert second["version"] != first["version"]
    make_run("new", ["data=digits", "kl=tc"], [-40.0, -30.0])
    assert ask(version=second["version"])["runs"] == 10


def test_names_are_text(ask: Ask, make_run: MakeRun) -> None:
    make_run("<img src=x>", ["kl=<script>alert(1)</script>"], [-40.0, -30.0])
    answer = ask()
    assert "<script>" not in answer["html"]
    assert "<img src=x>" not in answer["html"]
    assert html.escape("<img src=x>") in answer["html"]


def test_a_link_selects_the_runs_of_a_configuration(ask: Ask, make_run: MakeRun) -> None:
    make_run("backend-10", ["data=digits", "kl=tc"], [-40.0, -30.0])
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', ask()["html"])]
    patterns = [parse_qs(urlparse(link).query)["runFilter"][0] for link in links]
    names = [f"{name}/tensorboard/validation" for name in ("backend-0", "backend-1", "backend-2", "backend-10")]
    selected = {tuple(bool(re.search(pattern, name)) for name in names) for pattern in patterns}
    one_each = {tuple(at == place for at in range(4)) for place in range(4)}
    assert selected == {(True, True, True, False), (False,) * 4, *one_each}


def test_without_runs_there_is_no_tab(tmp_path: Path) -> None:
    for directory in ("", tmp_path, tmp_path / "missing", "gs://bucket/runs"):
        plugin = plugin_of(directory)
        assert not plugin.is_active()
        answer = Client(plugin.get_plugin_apps()["/comparison"]).get("/")
        assert answer.status_code == 400
        assert "\n" not in answer.json["error"]


def test_a_folder_that_cannot_be_read_is_named(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, scandir = str(runs / "backend-1"), os.scandir

    def refusing(path: str) -> Any:
        if os.fspath(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read all
    plugin = plugin_of(runs)
    assert plugin.is_active()
    answer = Client(plugin.get_plugin_apps()["/comparison"]).get("/")
    assert answer.status_code == 400
    assert answer.json["error"] == f"{closed}: Permission denied; must be readable, or lie elsewhere"


def test_a_run_makes_it_appear(runs: Path) -> None:
    assert plugin_of(runs).is_active()


def test_it_serves_its_own_files_alone() -> None:
    apps = plugin_of("").get_plugin_apps()
    for name, kind in (("tab.js", "text/javascript"), ("charts.js", "text/javascript"), ("style.css", "text/css")):
        answer = Client(apps[f"/{name}"]).get("/")
        assert answer.mimetype == kind
        assert answer.text == (REPOSITORY / "vae" / "compare" / "browser" / name).read_text()
    assert len(apps) == 6


def test_it_needs_no_tensorflow(runs: Path, no_tensorflow: str) -> None:
    code = f"""
from tensorboard.plugins.base_plugin import TBContext
from werkzeug.test import Client
from vae.compare.plugin import ComparisonPlugin
plugin = ComparisonPlugin(TBContext(logdir={str(runs)!r}))
print(plugin.is_active(), Client(plugin.get_plugin_apps()["/comparison"]).get("/").status_code)
"""
    environment = {"PYTHONPATH": f"{no_tensorflow}:{REPOSITORY}", "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.stdout.split() == ["True", "200"], ended.stderr
