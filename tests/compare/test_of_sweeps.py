"""The comparison of a sweep's runs: at its end, while it goes on, and the frontier that it starts."""

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.cli.sweep_config import sweep_config
from tests.compare.conftest import MakeRun
from vae.cli.comparing import show_sweep, train_frontier, update_comparison


@contextlib.contextmanager
def config_of(directory: Path, *options: str) -> Iterator[DictConfig]:
    with sweep_config(options) as config:
        OmegaConf.update(config, "hydra.sweep.dir", str(directory))
        yield config


def end_of(directory: Path, *options: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with config_of(directory, *options) as config:
        show_sweep(config)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def sweep(make_run: MakeRun) -> Path:
    """Two terms with two seeds each."""
    for seed in range(2):
        make_run(f"analytic-{seed}", ["kl=analytic"], [-22.0, -21.0 - seed], seed)
        last = make_run(f"backend-{seed}", ["kl=backend"], [-25.0, -23.5 - seed], seed, kl="backend")
    return last.parent


def test_it_names_the_report_and_how_to_train_the_frontier(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = end_of(sweep, "kl=analytic,backend", "seed=0,1", "latent.size=2", capsys=capsys)
    assert any("kl=backend" in line and "nats worse than kl=analytic" in line for line in shown), shown
    assert f"report     {sweep / 'comparison' / 'report.html'}" in shown
    assert "kl=backend" in (sweep / "comparison" / "report.html").read_text()
    (frontier,) = (shlex.split(line) for line in shown if line.startswith("frontier "))
    assert frontier[-5:] == [
        "-m",
        "experiment=frontier",
        "seed=0,1",
        "latent.size=2",
        f"hydra.sweep.dir={sweep}/frontier",
    ]


def test_of_one_term_there_is_no_frontier(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make_run(f"{seed}", ["kl=analytic"], [-22.0, -21.0 - seed], seed) for seed in range(2)]
    (runs[0].parent / "comparison").touch()  # in which nothing can be written
    shown = end_of(runs[0].parent, "seed=0,1", capsys=capsys)
    assert shown[-1].startswith("report     not written: ")
    assert not any(line.startswith(("frontier ", "curves ")) for line in shown)


def test_of_no_epoch_there_is_no_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert end_of(tmp_path, "seed=0,1", capsys=capsys) == []


def test_it_is_brought_up_to_date_once_a_minute(sweep: Path) -> None:
    began = sweep / "multirun.yaml"
    began.touch()
    update_comparison(sweep)
    assert not (sweep / "comparison").exists()
    os.utime(began, (0, began.stat().st_mtime - 61))
    update_comparison(sweep)
    (events,) = (sweep / "comparison").glob("events.*")
    written = events.stat().st_mtime_ns
    update_comparison(sweep)
    assert events.stat().st_mtime_ns == written


@pytest.mark.parametrize("status", [0, 1])
def test_the_frontier_is_a_command_of_its_own(status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import json, pathlib, sys\n"
        "pathlib.Path('given.json').write_text(json.dumps(sys.argv[1:]))\n"
        f"sys.exit({status})\n"
    )
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.chdir(tmp_path)
    with config_of(tmp_path, "kl=raw", "hydra/launcher=basic", "hydra.verbose=false") as config:
        assert train_frontier(config, [0.1, 2.0, 3.0]) == (status == 0)
    assert json.loads((tmp_path / "given.json").read_text()) == [
        "-m",
        "experiment=frontier",
        "beta.value=0.1,2,3",
        "seed=0",
        f"hydra.sweep.dir={tmp_path}/frontier",
        "hydra/launcher=basic",
        "hydra.callbacks.preflight.compares=false",
    ]
