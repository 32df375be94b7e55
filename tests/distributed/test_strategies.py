"""Several replicas, on one machine and in two processes, against one: the same run to rounding."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import REPOSITORY, free_addresses
from tests.distributed import worker
from vae import VAE
from vae.distributed.strategies import build_strategy, check_divisible, slurm_cluster
from vae.errors import UserError
from vae.kl import Analytic, KerasLoss, MonteCarlo, TotalCorrelation
from vae.objectives import ELBO

Run = dict[str, np.ndarray]


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.distributed.worker", *arguments]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(path: Path) -> Run:
    with np.load(path) as file:
        return dict(file)


def assert_same(left: Run, right: Run) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert np.allclose(left[name], right[name], rtol=2e-6, atol=2e-6), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Fifty steps on one device, the whole batch at once."""
    path = tmp_path_factory.mktemp("alone") / "weights.npz"
    vae = worker.train(None, worker.EPOCHS, worker.Witness(path))
    assert int(vae.optimizer.iterations.numpy()) == worker.STEPS
    return read(path)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Path], list[int], str]]:
    """Two processes on loopback; the second is killed after the epoch that follows the fifty steps."""
    directory = tmp_path_factory.mktemp("workers")
    addresses = free_addresses(2)
    processes, paths = [], [directory / f"{index}.npz" for index in range(2)]
    for index, last in enumerate([[], [str(worker.EPOCHS + 1)]]):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        arguments = ["multi_worker", str(paths[index]), str(worker.EPOCHS + 3), *last]
        processes.append(start(*arguments, TF_CONFIG=json.dumps(config)))
    try:
        _, stderr = processes[1].communicate(timeout=120)
        assert processes[1].returncode == -signal.SIGKILL, stderr
        stdout, _ = processes[0].communicate(timeout=120)
        yield paths, [process.returncode for process in processes], stdout
    finally:
        for process in processes:
            process.kill()


@pytest.mark.thorough
def test_two_workers_follow_one_to_rounding(two_workers: tuple[list[Path], ...], alone: Run) -> None:
    for path in two_workers[0]:
        assert_same(read(path), alone)


@pytest.mark.thorough
def test_a_worker_hears_that_another_was_killed(two_workers: tuple[list[Path], list[int], str]) -> None:
    _, statuses, stdout = two_workers
    assert statuses[0] == worker.WORKER_LOST
    assert "another worker ended" in stdout


@pytest.mark.thorough
def test_two_devices_follow_one_to_rounding(alone: Run, tmp_path: Path) -> None:
    process = start("mirrored", str(tmp_path / "weights.npz"), str(worker.EPOCHS))
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert_same(read(tmp_path / "weights.npz"), alone)


def test_mirrored_needs_two_devices() -> None:
    if len(tf.config.list_logical_devices("GPU")) > 1:
        pytest.skip("there are two GPUs")
    with pytest.raises(UserError, match=r"^trainer.strategy=mirrored: needs two GPUs or more, and TensorFlow finds \d"):
        build_strategy("mirrored")


def test_an_unreachable_worker_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = free_addresses(2)
    config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(UserError, match=rf"^worker 0: waited 0.5 s for worker 1 \({addresses[1]}\), which does not"):
        build_strategy("multi_worker", patience=0.5)


@pytest.mark.parametrize(("host", "index"), [("n2", 2), ("n10", 1)])
def test_a_slurm_task_finds_its_own_address(host: str, index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slurm counts n1, n2, n10; TensorFlow's resolver sorts n1, n10, n2."""
    step = {"STEP_NODELIST": "n[1-2,10]", "STEP_NUM_TASKS": "3", "STEP_TASKS_PER_NODE": "1(x3)", "LOCALID": "0"}
    for name, value in {**step, "PROCID": str(["n1", "n2", "n10"].index(host)), "JOB_ID": "7"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", host)
    cluster = slurm_cluster()
    assert cluster.workers == ("n1:10007", "n10:10007", "n2:10007")
    assert cluster.index == index
    monkeypatch.setenv("SLURM_STEP_NODELIST", "n[1-2")
    with pytest.raises(UserError, match="SLURM_ variables do not agree"):
        slurm_cluster()


@pytest.mark.thorough
def test_refuses_a_regularizer_that_is_not_a_mean_over_examples(make_vae: Callable[..., VAE]) -> None:
    calibrated = KerasLoss("symmetric", reduction="sum", calibrate=True)
    for kl in (Analytic(), Analytic("reverse"), KerasLoss(), calibrated, MonteCarlo("symmetric", samples=3)):
        check_divisible(make_vae(kl))
    for kl in (KerasLoss(reduction="sum"), TotalCorrelation()):
        with pytest.raises(UserError, match=f"{type(kl).__name__} with these options is not a mean over examples"):
            check_divisible(make_vae(kl))
    for objective in (ELBO(free_bits=0.5), ELBO(capacity=2.0, ramp=100)):
        with pytest.raises(UserError, match="Analytic with these options is not a mean over examples"):
            check_divisible(make_vae(objective=objective))
