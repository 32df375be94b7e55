"""The report: damaged, running and hostile runs, plots, and one page that needs nothing else."""

import base64
import html.parser
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tests.compare.conftest import ELBOS, MakeRun
from tests.conftest import REPOSITORY
from vae.compare import (
    compare,
    conclusions,
    configuration_styles,
    difference_curves,
    draw_plots,
    load_runs,
    write_report,
)
from vae.compare.plot import Axis, Panel, Plot, Series


def break_summary(run: Path) -> None:
    (run / "summary.json").write_text('{"status": "finished", "seed": [0]}')


def break_values(run: Path) -> None:
    (run / "history.csv").write_text("epoch,validation/elbo,validation/kl,validation/reconstruction\n1,x,-inf,nan\n")


def break_yaml(run: Path) -> None:
    (run / ".hydra" / "config.yaml").write_text("a: &a [*a]\nb: *a")


def break_json(run: Path) -> None:
    (run / "evaluation.json").write_text("[" * 100_000)


def break_picture(run: Path) -> None:
    (run / "samples.png").write_bytes(b"no picture")
    (run / "reconstructions.png").write_bytes(b"no picture")


DAMAGES = [break_summary, break_values, break_yaml, break_json, break_picture]


@pytest.mark.thorough
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_files_damaged_in_every_run_do_not_stop_a_report(damage: Callable[[Path], None], runs: Path) -> None:
    for run in runs.iterdir():
        damage(run)
    frame = load_runs(runs)
    assert conclusions(frame)
    assert write_report(frame, runs.parent / "report").is_file()


def test_files_damaged_in_some_runs_do_not_stop_a_report(runs: Path) -> None:
    for damage, run in zip(DAMAGES, sorted(runs.iterdir()), strict=False):
        damage(run)
    frame = load_runs(runs)
    assert conclusions(frame)
    assert write_report(frame, runs.parent / "report").is_file()


def test_damaged_and_running_runs_are_in_the_table(runs: Path, make_run: MakeRun) -> None:
    going = make_run("going", ["data=digits", "kl=analytic"], [-40.0, -30.0], seed=3, status="running")
    with (going / "history.csv").open("a") as file:
        file.write("3,30,1.5,-2")  # the last row is half written
    (make_run("broken", ["data=digits", "kl=raw"], [-40.0]) / "summary.json").write_text('{"status": "fin')
    empty = make_run("begun", ["data=digits", "kl=raw"], [], seed=1, status="running")
    (empty / ".hydra" / "config.yaml").write_text("a: [")
    (make_run("binary", ["data=digits", "kl=tc"], [-40.0]) / "history.csv").write_bytes(b"\xff\xfe\x00epoch")
    (going / "tensorboard").mkdir()
    (going / "tensorboard" / "events.out.tfevents.1.damaged").write_bytes(b"\xff" * 100)
    frame = load_runs(runs)
    status = frame.groupby("run")["status"].first()
    assert status[str(runs / "broken")] == "damaged"
    assert status[str(runs / "begun")] == status[str(going)] == "running"
    assert len(frame[frame["run"] == str(going)]) == 2
    table = compare(frame).set_index("configuration")
    assert table.loc["kl=analytic", "runs"] == 4
    assert table.loc["kl=analytic", "status"] == "1 running"
    assert np.isnan(table.loc["kl=tc", "elbo"])
    write_report(frame, runs / "report")


@pytest.mark.thorough
def test_a_name_with_dollars_is_not_a_formula(runs: Path, make_run: MakeRun) -> None:
    make_run("dollars", [r"name=$\nosuch$"], [-30.0])
    assert r"name=$\nosuch$" in write_report(load_runs(runs), runs.parent / "report").read_text()


def test_a_configuration_has_one_style_in_every_plot(runs: Path) -> None:
    frame = load_runs(runs)
    drawn = {plot.name: plot.figure for plot in draw_plots(frame)}
    styles = configuration_styles(["kl=keras_loss", "kl=analytic", "kl=backend"])
    assert len({(style["color"], style["linestyle"]) for style in styles.values()}) == 3
    for name in ("elbo_by_step", "elbo_by_seconds", "rate_distortion", "kl_per_latent"):
        (axes,) = drawn[name].axes
        lines = {line.get_label(): line for line in axes.get_lines() if line.get_label() in styles}
        assert {*lines} == {*styles}
        for configuration, line in lines.items():
            assert (line.get_color(), line.get_linestyle()) == (*styles[configuration].values(),)
    curves = difference_curves(frame, "kl=analytic")
    for axes in drawn["differences"].axes:
        name = axes.get_title(loc="left")
        line = axes.get_lines()[-1]
        assert (line.get_color(), line.get_linestyle()) == (*styles[name].values(),)
        expected = curves.loc[curves["configuration"] == name, "difference"]
        assert line.get_ydata().tolist() == pytest.approx(expected.tolist())


def test_the_betas_of_a_frontier_leave_different_colors_to_the_others() -> None:
    terms = [f"kl={name}" for name in ("analytic", "tc", "renyi", "raw kl.form=softmax", "mmd beta.value=1000")]
    betas = [f"kl=analytic beta.value={beta:g}" for beta in (1e-05, 0.01, *range(2, 20))]
    styles = configuration_styles([*betas, *terms])
    assert len({styles[name]["color"] for name in terms}) == len(terms)
    assert {name: styles[name] for name in terms} == configuration_styles(terms)
    assert configuration_styles(reversed([*betas, *terms])) == styles


class Page(html.parser.HTMLParser):
    """The content of a page: its tags, the texts of its images, its references."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attributes)
        self.references += [value for name in ("src", "href") if (value := named.get(name))]
        if tag == "img":
            self.texts.append(named.get("alt") or "")


def test_the_page_needs_no_other_file_and_escapes_names(runs: Path, make_run: MakeRun) -> None:
    hostile = "data.name=\"</script><script>alert('x')</script> & more\""
    make_run("hostile", [hostile], [-30.0])
    path = write_report(load_runs(runs), runs.parent / "report")
    page = Page(path.read_text())
    assert page.tags.count("script") == 3  # the libraries, what draws with them, and the call
    assert "<script>alert" not in path.read_text()
    assert "&lt;script&gt;" in path.read_text()
    assert page.references
    assert all(reference.startswith("data:") for reference in page.references)
    assert "default-src 'none'" in path.read_text()  # the browser itself lets nothing in
    assert {file.suffix for file in path.parent.iterdir()} == {".html", ".png", ".svg"}


def test_pictures_stand_side_by_side(runs: Path) -> None:
    """One run has both pictures, another only one of them, a third a file that is no picture."""
    grey = np.full((4, 6), 0.5)
    for name in ("backend-1/reconstructions", "backend-1/samples", "analytic-0/samples"):
        plt.imsave(runs / f"{name}.png", grey)
    (runs / "analytic-0" / "reconstructions.png").write_bytes(b"<svg>")
    page = Page(write_report(load_runs(runs), runs.parent / "report").read_text())
    assert page.texts == ["Images above their reconstructions: kl=backend", "Samples from the prior: kl=backend"]
    picture = base64.b64encode((runs / "backend-1" / "samples.png").read_bytes()).decode()
    assert page.references[-1] == f"data:image/png;base64,{picture}"


def test_a_plot_in_a_browser_has_the_points_of_the_figure(runs: Path) -> None:
    for plot in draw_plots(load_runs(runs)):
        sent = json.loads(json.dumps(plot.to_json(), allow_nan=False))
        assert [panel["title"] for panel in sent["panels"]] == [panel.title for panel in plot.panels]
        grid = plot.figure.axes[: len(sent["panels"])]  # others are blank
        for axes, panel in zip(grid, sent["panels"], strict=True):
            drawn = [line for line in axes.get_lines() if len(line.get_xdata()) and line.get_label()[0] != "_"]
            drawn = drawn or axes.get_lines()[1:]  # of a panel without a legend, after the line at 0
            lines = [series for series in panel["series"] if series["mark"] == "line"]
            for line, series in zip(drawn, lines, strict=True):
                assert series["points"]["x"] == pytest.approx([*line.get_xdata()], rel=1e-5)
                assert series["points"]["y"] == pytest.approx([*line.get_ydata()], rel=1e-5)
                assert series["style"]["color"] == line.get_color()


def test_the_differences_lie_within_their_axis(runs: Path) -> None:
    plot = draw_plots(load_runs(runs), margin=0.75)[0]
    low, high = plot.y.limits
    means = plot.data["difference"]
    assert low < means.min() < -5.0
    assert high > max(means.max(), 0.75)
    assert (plot.y.margin, plot.y.linear_up_to) == (0.75, 1.5)


def test_the_courses_have_the_range_of_the_seeds_and_the_units_are_sorted(runs: Path) -> None:
    frame = load_runs(runs)
    frame["audit/kl_per_latent/1"] = 5.0  # beside 2 at the last epoch
    plots = {plot.name: plot for plot in draw_plots(frame)}
    course, units = (
        next(series for series in plots[name].panels[0].series if series.name == "kl=analytic").points.iloc[-1]
        for name in ("elbo_by_seconds", "kl_per_latent")
    )
    assert course[["x", "y", "low", "high"]].tolist() == pytest.approx([1.0, np.mean(ELBOS["kl=analytic"]), -21, -20])
    assert units.tolist() == [2.0, 2.0]  # the second in rank


def test_a_long_line_is_thinned_and_keeps_its_ends() -> None:
    epochs = np.arange(1, 5001)
    points = pd.DataFrame({"x": epochs, "y": np.where(epochs == 5000, np.nan, np.sqrt(epochs))})
    style = {"color": "#000000", "linestyle": "--"}
    panel = Panel("", [Series("a", points, style), Series("b", points, style, "dots")])
    plot = Plot("name", "title", "words", Axis("epoch"), Axis("nats"), [panel], points)
    line, dots = plot.to_json()["panels"][0]["series"]
    assert len(line["points"]["x"]) == 300
    assert (line["points"]["x"][0], line["points"]["x"][-1]) == (1, 5000)
    assert line["points"]["y"][-1] is None
    assert np.diff(line["points"]["x"]).max() <= 17
    assert len(dots["points"]["x"]) == 5000


def test_a_notebook_keeps_its_own_figures(runs: Path) -> None:
    code = f"""
import matplotlib
matplotlib.use("svg")
from vae.compare import draw_plots, load_runs
drawn = draw_plots(load_runs({str(runs)!r}))
from matplotlib import pyplot
print(len(drawn) > 0, matplotlib.get_backend(), pyplot.get_fignums())
"""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "svg", "[]"]
