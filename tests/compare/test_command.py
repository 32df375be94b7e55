"""The command `python -m vae.compare`: formats, bad input, narrow terminals, closed pipes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.compare.conftest import ELBOS, MakeRun
from tests.conftest import REPOSITORY, Outcome, run_script
from vae.compare import compare, load_runs
from vae.compare.reading import ComparisonReader


def test_missing_quantities_are_blank(runs: Path, command: Callable[..., Outcome]) -> None:
    for seed, nll in enumerate([19.0, 20.0, 21.0]):
        (runs / f"backend-{seed}" / "evaluation.json").write_text(json.dumps({"nll": nll, "kl_per_latent": [1.0, 2.0]}))
    (runs / "analytic-0" / "evaluation.json").write_text("{")
    table = compare(load_runs(runs)).set_index("configuration")
    assert table.loc["kl=backend", "nll"] == 20.0
    assert table.loc["kl=backend", "nll_interval"] == pytest.approx(stats.t.ppf(0.975, 2) / np.sqrt(3))
    assert table["nll"].isna().tolist() == [True, False, True]
    markdown = command("runs", "--format=markdown").stdout.splitlines()
    place = [cell.strip() for cell in markdown[0].split("|")].index("NLL")
    assert [row.split("|")[place].strip() for row in markdown[2:]] == ["", "20.0 ± 2.5", ""]


def test_the_command_in_every_format(runs: Path, command: Callable[..., Outcome]) -> None:
    ended = command("runs")
    assert ended.status == 0, ended.stderr
    assert "5.10 ± 0.90 nats worse than kl=analytic" in ended.stdout
    frame = pd.read_csv(pd.io.common.StringIO(command("runs", "--format=csv").stdout))
    records = json.loads(command("runs", "--format=json").stdout)
    assert frame["configuration"].tolist() == [record["configuration"] for record in records]
    assert records[0]["elbo"] == pytest.approx(np.mean(ELBOS["kl=analytic"]))
    markdown = command("runs", "--format=markdown", "--elbo=-22").stdout.splitlines()
    assert markdown[0].startswith("| configuration | finished | ELBO |")
    assert len({line.count("|") for line in markdown}) == 1
    unreached = command("runs", "--elbo=-1")
    assert unreached.stderr == "vae.compare: no run reached an ELBO of -1\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such folder"),
        ([300 * "x"], f"{300 * 'x'}: no such folder"),
        (["runs", "--out", 300 * "x"], f"--out={300 * 'x'}: cannot be seen (File name too long); name another folder"),
        (["empty"], "empty: no run in this folder or below it"),
        (["runs", "--baseline=kl=x"], "--baseline=kl=x: must be one of kl=analytic; kl=backend; kl=keras_loss"),
        (["runs", "--out=file"], "--out=file: is a file"),
        (["runs", "--out="], "--out=: is empty"),
        (["runs", "--out=file/below"], "--out=file/below: Not a directory; name another folder"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], words: str, runs: Path, command: Callable[..., Outcome]) -> None:
    (runs.parent / "empty").mkdir()
    (runs.parent / "file").write_text("")
    ended = command(*arguments)
    assert ended.status == 2
    assert ended.stderr.startswith(f"vae.compare: {words}")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == ""


@pytest.mark.parametrize("width", [64, 80, 110, 400])
def test_a_narrow_terminal_hides_the_least_important_columns(
    width: int, runs: Path, command: Callable[..., Outcome]
) -> None:
    ended = command("runs", "--elbo=-22", columns=width)
    table = [line for line in ended.stdout.splitlines() if set(line) & set("┃│")]
    assert all(len(line) <= width for line in table)
    for name in ELBOS:
        assert any(f"│ {name} " in line for line in table), ended.stdout
    assert "ELBO" in table[0]
    assert ("Hidden in this narrow terminal: steps/s" in ended.stdout) == (width < 400)


def test_one_run_alone_is_shown(make_run: MakeRun, tmp_path: Path, command: Callable[..., Outcome]) -> None:
    make_run("only", ["kl=analytic"], [-20.0])
    ended = command("runs/only", "--out=report")
    assert ended.status == 0, ended.stderr
    assert "defaults: no other configuration to compare with." in ended.stdout
    assert (tmp_path / "report" / "report.html").exists()


@pytest.mark.thorough
def test_the_benchmark_reads_what_it_copied(tmp_path: Path) -> None:
    ended = run_script(
        "benchmarks/compare.py", "--runs=8", "--epochs=1", "--rounds=1", "--json=figures.json", cwd=tmp_path
    )
    assert ended.status == 0, ended.stderr
    assert "8 runs of 1 epochs" in ended.stdout
    seconds = json.loads((tmp_path / "figures.json").read_text())["seconds"]
    tab = {"tab, opened", "tab, another choice", "tab, unchanged", "tab, a new run"}
    assert seconds.keys() == {"import", "load_runs", "compare", "differences", *tab, "command"}
    assert all(value > 0 for value in seconds.values())


def test_needs_no_tensorflow(runs: Path, no_tensorflow: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "vae.compare", "runs"],
        cwd=runs.parent,
        env={"PYTHONPATH": f"{no_tensorflow}:{REPOSITORY}", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "kl=analytic" in ended.stdout


@pytest.mark.thorough
@pytest.mark.parametrize("style", ["table", "csv", "json"])
def test_a_closed_pipe_ends_it_quietly(style: str, runs: Path) -> None:
    """As `python -m vae.compare runs | head` does once `head` has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "vae.compare", "runs", f"--format={style}"],
        cwd=runs.parent,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.close()
    _, stderr = process.communicate()
    assert stderr == ""
    assert process.returncode == -signal.SIGPIPE


@pytest.mark.thorough
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("style", ["table", "csv", "json", "markdown"])
def test_a_full_disk_is_one_line(style: str, runs: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "vae.compare", "runs", f"--format={style}"],
            cwd=runs.parent,
            env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    reason = "the output cannot be written (No space left on device); redirect it to another file"
    assert (ended.returncode, ended.stderr) == (1, f"vae.compare: {reason}\n")


def test_a_figure_that_no_run_logs_is_none(make_run: MakeRun, command: Callable[..., Outcome], tmp_path: Path) -> None:
    """Quantities are in float32. The square of a larger one would be infinite."""
    for seed, (first, second) in enumerate([(-30.0, -31.0), (-31.0, 1e308)]):
        make_run(f"analytic-{seed}", ["kl=analytic"], [first], seed)
        make_run(f"tc-{seed}", ["kl=tc"], [second], seed)
    ended = command("runs")
    assert ended.status == 0, ended.stderr
    assert "kl=tc" in ended.stdout
    elbos = load_runs(tmp_path / "runs").set_index("run")["validation/elbo"]
    assert [*elbos.filter(like="tc-")] == [-31.0, pytest.approx(np.nan, nan_ok=True)]


def test_ctrl_c_ends_it_quietly(runs: Path, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ComparisonReader, "read", interrupted)
    assert command("runs") == Outcome(130, "", "")


def test_the_report_is_complete_before_anything_is_printed(
    runs: Path, command: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = runs.parent / "report" / "report.html"
    found = []
    monkeypatch.setattr("vae.compare.terminal.show_comparison", lambda *_: found.append(page.is_file()))
    assert command("runs", "--out=report").status == 0
    assert found == [True]


@pytest.mark.parametrize(("arguments", "line"), [("nowhere", "no such folder"), (". --out=file", "is a file")])
def test_early_mistakes_are_found_without_pandas(arguments: str, line: str, runs: Path) -> None:
    (runs / "file").write_text("")
    (runs / "no").mkdir()
    (runs / "no" / "pandas.py").write_text("raise ImportError('pandas was loaded')")
    ended = subprocess.run(
        [sys.executable, "-m", "vae.compare", *arguments.split()],
        cwd=runs,
        env={**os.environ, "PYTHONPATH": str(runs / "no")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert line in ended.stderr
    assert "pandas" not in ended.stderr
