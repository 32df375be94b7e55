"""Comparisons of written runs, against SciPy; damaged, running and hostile ones; the command and its page."""

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
from scipy import stats

from tests.compare.conftest import MakeRun
from tests.conftest import REPOSITORY, run_script
from vae.compare import comparable, compare, conclusions, default_baseline, differences, load_runs, plots, write_report

ELBOS = {
    "kl=analytic": [-20.0, -21.0, -20.4],
    "kl=keras_loss": [-25.0, -26.5, -25.2],
    "kl=backend": [-20.1, -20.9, -20.4],
}


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Three configurations over three seeds."""
    for override, last in ELBOS.items():
        for seed, elbo in enumerate(last):
            beta = 0.0625 if override == "kl=keras_loss" else 1.0
            name = f"{override[3:]}-{seed}"
            make_run(name, ["data=digits", override], [-40.0, elbo], seed, effective_beta=beta)
    return tmp_path / "runs"


def command(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vae.compare", *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "", "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_row_for_each_run_and_epoch(runs: Path) -> None:
    frame = load_runs(runs)
    assert len(frame) == 18
    assert frame["run"].nunique() == 9
    row = frame[(frame["run"] == str(runs / "backend-1")) & (frame["epoch"] == 2)].iloc[0]
    assert (row["validation/elbo"], row["step"], row["seconds"], row["seed"]) == (-20.9, 20, 1.0, 1)
    assert row["option/data.name"] == "digits"
    assert row["overrides"] == ("data=digits", "kl=backend")


def test_means_and_intervals_equal_scipy(runs: Path) -> None:
    table = compare(load_runs(runs), elbo=-22.0)
    assert table["configuration"].tolist() == ["kl=analytic", "kl=backend", "kl=keras_loss"]
    for _, row in table.iterrows():
        values = np.array(ELBOS[row["configuration"]])
        low, high = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
        assert row["elbo"] == pytest.approx(values.mean())
        assert row["elbo_interval"] == pytest.approx((high - low) / 2)
    assert table["steps_to_elbo"].tolist()[:2] == [20.0, 20.0]
    assert np.isnan(table["steps_to_elbo"].iloc[2])


def test_differences_are_paired_by_seed(runs: Path) -> None:
    found = differences(load_runs(runs), "kl=analytic").set_index("configuration")
    for name in ("kl=backend", "kl=keras_loss"):
        gaps = np.array(ELBOS[name]) - np.array(ELBOS["kl=analytic"])
        interval = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
        assert found.loc[name, "difference"] == pytest.approx(gaps.mean())
        assert found.loc[name, "interval"] == pytest.approx((interval.high - interval.low) / 2)
    assert "no difference from kl=analytic beyond noise" in found.loc["kl=backend", "sentence"]
    worse = found.loc["kl=keras_loss", "sentence"]
    cause = "because it trained at an effective beta of 0.0625"
    assert f"5.1 ± 0.9 nats worse than kl=analytic, {cause} (3 seeds)." in worse
    assert differences(load_runs(runs), "kl=analytic", "steps_per_second")["difference"].tolist() == [0.0, 0.0]
    with pytest.raises(KeyError):
        differences(load_runs(runs), "kl=other")


def test_the_cause_is_named_only_where_the_gradient_says_so(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        make_run(f"a{seed}", ["kl=analytic"], [-20.0 - seed], seed, cosine=1.0)
        make_run(f"b{seed}", ["kl=mmd"], [-30.0 - 1.1 * seed], seed, effective_beta=0.02, cosine=0.3)
        make_run(f"c{seed}", ["kl=renyi"], [-15.0 - 1.1 * seed], seed, effective_beta=0.5, cosine=0.99)
    found = differences(load_runs(tmp_path / "runs"), "kl=analytic").set_index("configuration")["sentence"]
    assert "with a gradient at a cosine of 0.3 to the exact KL's (3 seeds)" in found["kl=mmd"]
    assert "better than kl=analytic, trained at an effective beta of 0.5" in found["kl=renyi"]
    assert "because" not in " ".join(found)


def test_a_run_that_is_going_is_met_at_its_own_epoch(make_run: MakeRun, tmp_path: Path) -> None:
    """By its last epoch the finished run is far ahead; at the epoch that both have, they are one nat apart."""
    for seed in (0, 1):
        make_run(f"a{seed}", ["kl=analytic"], [-50.0, -40.0 - seed, -20.0], seed)
        make_run(f"b{seed}", ["kl=backend"], [-50.0, -41.0 - seed], seed, status="running")
    found = differences(load_runs(tmp_path / "runs"))
    assert found["difference"].tolist() == [-1.0]
    assert found["interval"].tolist() == [0.0]


def test_one_run_of_each_seed_counts(make_run: MakeRun, tmp_path: Path) -> None:
    """The same command twice is no second seed, and an interrupted repeat takes nothing from a finished run."""
    for seed, gap in enumerate([0.0, 0.2, 0.1]):
        for repeat in "xy":
            make_run(f"a{seed}{repeat}", ["kl=analytic"], [-40.0, -20.0 - seed], seed)
            make_run(f"b{seed}{repeat}", ["kl=tc"], [-40.0, -22.0 - seed - gap], seed, kl="tc")
        options = {"trainer": {"epochs": 2}}
        make_run(f"b{seed}z", ["kl=tc"], [-60.0] * 3, seed, status="interrupted", kl="tc", options=options)
    make_run("a3", ["kl=analytic"], [-90.0], seed=3, status="running", options=options)
    frame = load_runs(tmp_path / "runs", tmp_path / "runs" / ".." / "runs")
    assert frame["run"].nunique() == 16
    table = compare(frame).set_index("configuration")
    assert table["runs"].tolist() == [7, 9]
    assert table.loc["kl=analytic", "elbo"] == pytest.approx(-21.0)
    assert table.loc["kl=tc", "elbo"] == pytest.approx(np.mean([-22.0, -23.2, -24.1]))
    assert table.loc["kl=analytic", "elbo_interval"] == pytest.approx(stats.t.ppf(0.975, 2) / np.sqrt(3))
    (row,) = differences(frame).to_dict("records")
    assert (row["difference"], row["seeds"]) == (pytest.approx(-2.1), 3)


def test_a_last_figure_that_is_none_is_no_figure(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        make_run(f"a{seed}", ["kl=analytic"], [-20.0 - seed], seed)
        make_run(f"b{seed}", ["kl=tc"], [-22.0 - seed, [np.nan, -np.inf, -25.0][seed]], seed, kl="tc")
    frame = load_runs(tmp_path / "runs")
    assert compare(frame).set_index("configuration").loc["kl=tc", "elbo"] == -25.0
    (sentence,) = conclusions(frame)
    assert sentence.startswith("No configuration shares two seeds with kl=analytic")


def test_the_weight_is_no_cause_where_other_options_differ_too(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        make_run(f"a{seed}", ["kl=analytic"], [-20.0 - seed], seed, options={"latent": {"size": 16}})
        make_run(
            f"b{seed}", ["kl=keras_loss"], [-30.0 - seed], seed, effective_beta=0.5, options={"latent": {"size": 2}}
        )
    (sentence,) = conclusions(load_runs(tmp_path / "runs"))
    assert "worse than kl=analytic, trained at an effective beta of 0.5" in sentence


def test_images_of_another_size_are_other_data(make_run: MakeRun, tmp_path: Path) -> None:
    """The default is null, which is a value, too."""
    make_run("a", ["kl=analytic"], [-20.0], options={"data": {"shape": None}})
    make_run("b", ["data.shape=[4,4,1]"], [-5.0], options={"data": {"shape": [4, 4, 1]}})
    (tmp_path / "runs" / "foreign").mkdir()
    (tmp_path / "runs" / "foreign" / "history.csv").write_text("a,b\n1,2\n")
    frame = load_runs(tmp_path / "runs")
    assert comparable(frame) == [
        "The runs have different image sizes ([4, 4, 1], null): ELBOs are compared within each only."
    ]
    assert {"kl=analytic", "data.shape=[4,4,1]"} <= set(compare(frame)["configuration"])


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


@pytest.mark.parametrize(
    "damage", [break_summary, break_values, break_yaml, break_json, break_picture], ids=lambda damage: damage.__name__
)
@pytest.mark.parametrize("all_of_them", [False, True])
def test_no_damage_stops_a_report(damage: Callable[[Path], None], all_of_them: bool, runs: Path) -> None:
    for run in sorted(runs.iterdir())[: None if all_of_them else 1]:
        damage(run)
    frame = load_runs(runs)
    assert conclusions(frame)
    assert write_report(frame, runs.parent / "report").is_file()


def test_a_name_with_dollars_is_no_formula(runs: Path, make_run: MakeRun) -> None:
    make_run("dollars", [r"name=$\nosuch$"], [-30.0])
    assert r"name=$\nosuch$" in write_report(load_runs(runs), runs.parent / "report").read_text()


def test_the_baseline_is_the_closed_form_where_there_is_one(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", ["kl=backend"], [-19.0], kl="backend")
    make_run("b", ["kl=renyi"], [-30.0], kl="renyi")
    assert default_baseline(load_runs(tmp_path / "runs")) == "kl=backend"
    make_run("c", ["kl=analytic"], [-20.0])
    make_run("d", ["kl=analytic", "beta.value=4"], [-25.0])
    assert default_baseline(load_runs(tmp_path / "runs")) == "kl=analytic"


def test_too_few_seeds_make_no_claim(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", ["kl=analytic"], [-20.0])
    make_run("b", ["kl=backend"], [-30.0])
    make_run("c", ["kl=raw"], [-31.0], seed=7)
    table = compare(load_runs(tmp_path / "runs"))
    assert np.isnan(table["elbo_interval"]).all()
    sentences = differences(load_runs(tmp_path / "runs"))["sentence"].tolist()
    assert "no claim, for only 1 of its seeds is kl=analytic's, too" in sentences[0]
    assert "no claim, for only 0 of its seeds are kl=analytic's, too" in sentences[1]
    (alone,) = conclusions(load_runs(tmp_path / "runs"))
    assert "too few for a claim" in alone


def test_the_same_options_are_one_configuration_however_they_were_given(make_run: MakeRun, tmp_path: Path) -> None:
    first = make_run("a", ["kl=analytic"], [-20.0])
    second = make_run("b", ["kl=analytic", "trainer.threads=1", "data.dir=elsewhere"], [-20.0], seed=1)
    (second / ".hydra" / "config.yaml").write_text((first / ".hydra" / "config.yaml").read_text())
    assert compare(load_runs(tmp_path / "runs"))["runs"].tolist() == [2]


def test_damaged_and_running_runs_are_shown_and_stop_nothing(runs: Path, make_run: MakeRun) -> None:
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


def test_what_was_not_measured_is_left_blank(runs: Path) -> None:
    for seed, nll in enumerate([19.0, 20.0, 21.0]):
        (runs / f"backend-{seed}" / "evaluation.json").write_text(json.dumps({"nll": nll, "kl_per_latent": [1.0, 2.0]}))
    (runs / "analytic-0" / "evaluation.json").write_text("{")
    table = compare(load_runs(runs)).set_index("configuration")
    assert table.loc["kl=backend", "nll"] == 20.0
    assert table.loc["kl=backend", "nll_interval"] == pytest.approx(stats.t.ppf(0.975, 2) / np.sqrt(3))
    assert table["nll"].isna().tolist() == [True, False, True]
    markdown = command("runs", "--format=markdown", cwd=runs.parent).stdout.splitlines()
    place = [cell.strip() for cell in markdown[0].split("|")].index("NLL")
    assert [row.split("|")[place].strip() for row in markdown[2:]] == ["", "20.00 ± 2.48", ""]


def test_different_data_are_not_compared(make_run: MakeRun, tmp_path: Path) -> None:
    for seed in (0, 1):
        make_run(f"a{seed}", ["data=digits", "kl=analytic"], [-20.0 - seed], seed)
        make_run(f"b{seed}", ["data=digits", "kl=tc"], [-22.0 - seed], seed, kl="tc")
        make_run(f"c{seed}", ["data=mnist", "kl=analytic"], [-100.0 - seed], seed, data="mnist")
    runs = load_runs(tmp_path / "runs")
    said = [
        "The runs have different data sets (digits, mnist): ELBOs are compared within each only.",
        "data=digits kl=tc: 2 ± 0 nats worse than data=digits kl=analytic (2 seeds).",
        "data=mnist kl=analytic: there is nothing to hold it against.",
    ]
    assert comparable(runs) == said[:1]
    assert conclusions(runs) == said
    assert differences(runs, "data=mnist kl=analytic").empty
    ended = command("runs", cwd=tmp_path)
    assert ended.stdout.splitlines()[-3:] == said
    assert 'class="best"' not in write_report(runs, tmp_path / "report").read_text()


def test_the_command_in_every_format(runs: Path) -> None:
    ended = command("runs", cwd=runs.parent)
    assert ended.returncode == 0, ended.stderr
    assert "5.1 ± 0.9 nats worse than kl=analytic" in ended.stdout
    frame = pd.read_csv(pd.io.common.StringIO(command("runs", "--format=csv", cwd=runs.parent).stdout))
    records = json.loads(command("runs", "--format=json", cwd=runs.parent).stdout)
    assert frame["configuration"].tolist() == [record["configuration"] for record in records]
    assert records[0]["elbo"] == pytest.approx(np.mean(ELBOS["kl=analytic"]))
    markdown = command("runs", "--format=markdown", "--elbo=-22", cwd=runs.parent).stdout.splitlines()
    assert markdown[0].startswith("| configuration | finished | ELBO |")
    assert len({line.count("|") for line in markdown}) == 1
    unreached = command("runs", "--elbo=-1", cwd=runs.parent)
    assert unreached.stderr == "vae.compare: no run reached an ELBO of -1\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["empty"], "empty: there is no run in it or below it"),
        (["runs", "--baseline=kl=x"], "--baseline=kl=x: must be one of kl=analytic; kl=backend; kl=keras_loss"),
        (["runs", "--out=file"], "--out=file: is a file"),
        (["runs", "--out=file/below"], "--out=file/below: Not a directory; name another folder"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str, runs: Path) -> None:
    (runs.parent / "empty").mkdir()
    (runs.parent / "file").write_text("")
    ended = command(*arguments, cwd=runs.parent)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"vae.compare: {words}")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == "" or "below" in words  # which is seen when the table stands there


class Page(html.parser.HTMLParser):
    """What a page has: its tags, its images' texts, what it refers to."""

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


def test_the_page_stands_alone_and_escapes_names(runs: Path, make_run: MakeRun) -> None:
    hostile = "data.name=\"<script>alert('x')</script> & more\""
    make_run("hostile", [hostile], [-30.0])
    path = write_report(load_runs(runs), runs.parent / "report")
    page = Page(path.read_text())
    assert "script" not in page.tags
    assert "&lt;script&gt;" in path.read_text()
    assert page.tags.count("img") >= 6
    assert all(page.texts)
    assert page.references
    assert all(reference.startswith("data:") for reference in page.references)
    assert {file.suffix for file in path.parent.iterdir()} == {".html", ".png", ".svg"}


@pytest.mark.parametrize("width", [64, 80, 110, 200])
def test_a_narrow_terminal_leaves_out_what_matters_least(width: int, runs: Path) -> None:
    ended = command("runs", "--elbo=-22", cwd=runs.parent, COLUMNS=str(width))
    table = [line for line in ended.stdout.splitlines() if set(line) & set("┃│")]
    assert all(len(line) <= width for line in table)
    for name in ELBOS:
        assert any(f"│ {name} " in line for line in table), ended.stdout
    assert "ELBO" in table[0]
    assert ("Not shown, for want of width: steps/s" in ended.stdout) == (width < 200)


def test_pictures_stand_side_by_side(runs: Path) -> None:
    """One run has both pictures, another only one of them."""
    grey = np.full((4, 6), 0.5)
    for name in ("backend-1/reconstructions", "backend-1/samples", "analytic-0/samples"):
        plt.imsave(runs / f"{name}.png", grey)
    plot = next(plot for plot in plots(load_runs(runs)) if plot.name == "pictures")
    assert plot.data["run"].tolist() == [str(runs / "backend-1")]
    assert [len(axes.get_images()) for axes in plot.figure.axes] == [1, 0, 1, 0]
    path = write_report(load_runs(runs), runs.parent / "report")
    assert Page(path.read_text()).texts[-1].startswith("Images above their reconstructions")


def test_a_notebook_keeps_its_own_figures(runs: Path) -> None:
    code = f"""
import matplotlib
matplotlib.use("svg")
from vae.compare import load_runs, plots
drawn = plots(load_runs({str(runs)!r}))
from matplotlib import pyplot
print(len(drawn) > 0, matplotlib.get_backend(), pyplot.get_fignums())
"""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "svg", "[]"]


def test_one_run_alone_is_shown(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("only", ["kl=analytic"], [-20.0])
    ended = command("runs/only", "--out=report", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "defaults: there is nothing to hold it against." in ended.stdout
    assert (tmp_path / "report" / "report.html").exists()


def test_the_benchmark_reads_what_it_copied(tmp_path: Path) -> None:
    ended = run_script(
        "benchmarks/compare.py", "--runs=8", "--epochs=1", "--rounds=1", "--json=figures.json", cwd=tmp_path
    )
    assert ended.status == 0, ended.stderr
    assert "8 runs of 1 epochs" in ended.stdout
    seconds = json.loads((tmp_path / "figures.json").read_text())["seconds"]
    assert seconds.keys() == {"import", "load_runs", "compare", "differences"}
    assert all(value > 0 for value in seconds.values())
