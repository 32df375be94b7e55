"""The frontier that a sweep trains after its own runs: the same training with the exact KL at other weights."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.sweep_config import sweep_config
from tests.conftest import REPOSITORY, inherited_environment, run_here, run_script
from tests.reading import summary_of
from vae.cli.comparing import frontier_overrides
from vae.cli.sweeps import betas_of_exact_kl
from vae.runs.lock import is_locked

TINY = ["latent.size=2", "model.hidden=[8]", "data.take=64", "trainer.batch_size=8"]
TINY += ["trainer.epochs=2", "trainer.engine=keras", "audit=none"]
BETAS = "hydra.callbacks.preflight.frontier"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["experiment=kl_study"], ["beta.value=0.03,0.06,2", "seed=0,1,2,3,4"]),
        (["experiment=kl_study", "seed=7"], ["beta.value=0.03,0.06,2", "seed=7"]),
        (["kl=raw,mmd", "beta.value=3"], ["seed=0"]),
        (["kl=raw", "kl.form=softmax", "data=mnist", "seed=1,2"], ["seed=1,2", "data=mnist"]),
        (["kl=raw", "latent.size=2", "latent.size=4,8"], ["seed=0", "latent.size=4,8"]),
    ],
)
def test_it_differs_from_the_sweep_in_the_term_alone(options: list[str], expected: list[str]) -> None:
    with sweep_config(options) as config:
        betas = config.hydra.callbacks.preflight.get("frontier")
        assert frontier_overrides(config, betas) == [
            "-m",
            "experiment=frontier",
            *expected,
            "hydra.sweep.dir=sweep/frontier",
        ]


@pytest.mark.thorough
def test_a_sweep_ends_with_its_frontier_gaps(tmp_path: Path) -> None:
    options = [*TINY, "kl=analytic,keras_loss", "seed=0,3", "hydra.sweep.dir=sweep", f"{BETAS}=[0.1,0.3,2]"]
    ended = run_script("train.py", "-m", *options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    runs = {
        (summary["seed"], summary["kl"], round(summary["effective_beta"], 6))  # of float32
        for summary in (summary_of(path.parent) for path in (tmp_path / "sweep" / "frontier").glob("*/summary.json"))
    }
    assert runs == {(seed, "analytic", beta) for seed in (0, 3) for beta in (0.1, 0.3, 2.0)}
    assert ended.stdout.count("10 runs; nats per image, validation split") == 1
    assert ended.stdout.count("report     ") == 1
    assert "kl=keras_loss: " in ended.stdout
    assert "the exact KL" in ended.stdout
    assert not (tmp_path / "sweep" / "frontier" / "comparison").exists()

    again = run_script("train.py", "-m", *options, cwd=tmp_path)
    assert again.status == 0, again.stderr
    assert "runs: 4, already finished: 4" in again.stdout
    assert "runs: 6, already finished: 6" in again.stdout


@pytest.mark.thorough
def test_sigterm_ends_the_frontier_too(tmp_path: Path) -> None:
    options = [*TINY, "kl=keras_loss", "trainer.epochs=100", "hydra.sweep.dir=sweep"]
    sweep = tmp_path / "sweep"
    with subprocess.Popen(
        [sys.executable, str(REPOSITORY / "train.py"), "-m", *options, "seed=0", f"{BETAS}=[0.1,0.3,2]"],
        cwd=tmp_path,
        env=inherited_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not any(sweep.glob("frontier/*/history.csv")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGTERM)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    statuses = [summary_of(path.parent)["status"] for path in sweep.glob("frontier/*/summary.json")]
    assert statuses == ["interrupted"]
    assert not is_locked(sweep / "frontier")


@pytest.mark.parametrize(
    ("betas", "expected"),
    [
        ("[0]", "=[0]: item 1 should be greater than 0"),
        ("[0.1,-1]", "=[0.1,-1]: item 2 should be greater than 0"),
        ("[nan]", "=[NaN]: item 1 should be a finite number"),
        ("some", "=some: should be a valid list"),
        ("2", "=2: should be a valid list"),
        ("[1,0.5,2,1.0]", "=[1,0.5,2,1.0]: has 1.0 more than once; every beta must be another"),
        (
            "[0.5,1]",  # the sweep trains kl=analytic, whose runs count
            "=[0.5,1]: a frontier takes at least 3 different betas, and these are 2 with [1.0] of the sweep's own runs "
            "of kl=analytic; name more",
        ),
    ],
)
def test_betas_that_are_none(betas: str, expected: str, tmp_path: Path) -> None:
    ended = run_here("train.py", "-m", "seed=0,1", f"{BETAS}={betas}", cwd=tmp_path)
    assert ended.status == 2
    assert ended.stderr == f"train.py: {BETAS}{expected}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("own", "betas"),
    [
        (["kl=analytic,raw"], [1.0]),
        (["kl=analytic,raw", "beta.value=0.5,2", "seed=0,1"], [0.5, 2]),
        (["kl=raw,mmd"], []),
        (["kl=analytic", "kl.direction=reverse,symmetric"], []),
        (["kl=analytic,raw", "beta=linear"], []),
    ],
)
def test_own_runs_that_can_be_points_of_the_frontier(own: list[str], betas: list[float]) -> None:
    with sweep_config(own) as config:
        assert betas_of_exact_kl(config) == betas


@pytest.mark.thorough
def test_two_betas_and_that_of_own_runs_make_a_frontier(tmp_path: Path, no_tensorflow: str) -> None:
    """The check passes, and the command goes on to refuse the folder of the sweep."""
    (tmp_path / "file").touch()
    options = ["kl=analytic,raw", f"{BETAS}=[0.5,2]", "hydra.sweep.dir=file"]
    ended = run_script("train.py", "-m", *options, cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.stderr.startswith("train.py: hydra.sweep.dir=file: "), ended.stderr


@pytest.mark.parametrize("wrong", ["beta.value=[1,2]", "~beta.value", "trainer.epochs=0"])
def test_own_runs_of_wrong_options(wrong: str, tmp_path: Path) -> None:
    ended = run_here("train.py", "-m", "kl=analytic,raw", f"{BETAS}=[0.5,2]", wrong, cwd=tmp_path)
    assert ended.status == 2
    assert ended.stderr.startswith(f"train.py: {wrong.strip('~').partition('=')[0]}"), ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr


def test_whether_a_sweep_compares_is_a_boolean(tmp_path: Path, no_tensorflow: str) -> None:
    option = "hydra.callbacks.preflight.compares=maybe"
    ended = run_script("train.py", "-m", "seed=0,1", option, cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 2
    assert ended.stderr == f"train.py: {option}: should be a valid boolean\n"
    assert not list(tmp_path.iterdir())
