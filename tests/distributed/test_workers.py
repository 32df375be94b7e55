"""train.py on two workers: only the chief writes, and the run of a killed worker can be resumed."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.conftest import REPOSITORY, free_addresses, inherited_environment, run_script
from tests.reading import QUICK, history_of, scalars_of, summary_of

pytestmark = pytest.mark.thorough  # processes that are killed

COMMON = [
    "trainer.epochs=8",
    "trainer.checkpoint_seconds=0.001",
    "trainer.batch_size=100",
    "model.hidden=[16]",
    "data.take=520",
    QUICK,
]


@contextlib.contextmanager
def two_workers(*arguments: str, cwd: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Start two workers on loopback, the chief first, and kill them at the end if they still run."""
    addresses = free_addresses(2)
    command = [sys.executable, str(REPOSITORY / "train.py"), "trainer.strategy=multi_worker", *arguments]
    workers = []
    for index in range(2):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**inherited_environment(), "TF_CONFIG": json.dumps(config), "TMPDIR": str(cwd / "tmp")}
        workers.append(
            subprocess.Popen(
                command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def test_a_run_whose_worker_was_killed_resumes(tmp_path: Path) -> None:
    """It ends with the weights and figures of a run on one device, up to rounding."""
    (tmp_path / "tmp").mkdir()
    run = tmp_path / "run"
    with two_workers(*COMMON, "hydra.run.dir=run", cwd=tmp_path) as (chief, other):
        while not (run / "checkpoints" / "step-00000012.keras").exists():
            assert chief.poll() is None, [chief.communicate(), other.kill(), other.communicate()]
            time.sleep(0.005)
        other.send_signal(signal.SIGKILL)
        _, stderr = chief.communicate(timeout=60)
    assert chief.returncode == 1, stderr
    assert "train.py: another worker ended" in stderr
    assert "on all workers: python train.py resume=run" in stderr
    assert "Traceback" not in stderr
    assert summary_of(run)["status"] == "interrupted"
    assert len(history_of(run)) < 8

    with two_workers("resume=run", cwd=tmp_path) as workers:
        outputs = [worker.communicate(timeout=120) for worker in workers]
    assert summary_of(run)["status"] == "finished", outputs
    assert outputs[1][0] == "", "a worker that is not the chief reports nothing"
    assert [path.name for path in tmp_path.iterdir() if path.name != "tmp"] == ["run"], "only the chief writes"
    for split in ("train", "validation"):
        assert [step for step, _ in scalars_of(run / "tensorboard" / split)["canonical/elbo"]] == list(range(1, 9))

    alone = run_script("train.py", *COMMON, "hydra.run.dir=alone", cwd=tmp_path)
    assert alone.status == 0, alone.stderr
    two, one = (keras.models.load_model(tmp_path / name / "model.keras").get_weights() for name in ("run", "alone"))
    assert all(np.allclose(left, right, atol=1e-5) for left, right in zip(two, one, strict=True))
    for left, right in zip(history_of(run), history_of(tmp_path / "alone"), strict=True):
        assert float(left["train/elbo"]) == pytest.approx(float(right["train/elbo"]), rel=1e-5)
