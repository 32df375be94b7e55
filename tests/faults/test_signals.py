"""SIGTERM while a run imports TensorFlow, builds its objects, compiles and saves: it ends soon, and can go on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, inherited_environment, run_script
from tests.faults.intact import damages, untrue_statuses
from tests.reading import QUICK, summary_of
from vae.training.checkpoints import checkpoints_in, steps_of

pytestmark = pytest.mark.thorough  # a run for each moment

PATIENCE = 30.0  # seconds: XLA's compilation is not interrupted, and takes several on a machine with other work
MOMENTS: dict[str, tuple[list[str], Callable[[Path], bool]]] = {
    "import": ([], lambda run: (run / ".hydra" / "config.yaml").exists()),
    "compilation": (["trainer.engine=compiled"], lambda run: (run / "summary.json").exists()),
    "saving": (
        ["trainer.engine=keras", "trainer.epochs=1000", "trainer.checkpoint_seconds=0.001", "data.take=256"],
        lambda run: any((run / "checkpoints").glob(".step-*")),
    ),
}


@pytest.mark.parametrize(("options", "has_come"), MOMENTS.values(), ids=MOMENTS)
def test_sigterm_ends_a_run_within_seconds(
    options: list[str], has_come: Callable[[Path], bool], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, str(REPOSITORY / "train.py"), *options, "audit=none", "hydra.run.dir=run"],
        cwd=tmp_path,
        env={**inherited_environment(), "XDG_CACHE_HOME": str(tmp_path / "cold")},  # so that it does compile
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not has_come(run):
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGTERM)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert not damages(run)
    assert not untrue_statuses(run)
    assert not list(run.rglob(".lock"))
    assert (run / ".hydra" / "config.yaml").exists()


@pytest.mark.parametrize("place", ["destructor", "clause"])
def test_sigterm_that_stops_nothing_is_remembered_until_training(place: str, tmp_path: Path) -> None:
    """Python ignores what is raised in a destructor, and libraries catch everything here and there."""
    options = [QUICK, "trainer.chunk=1", "audit=none", "hydra.run.dir=run"]
    options += ["+callbacks.vain._target_=tests.cli.interrupting.InterruptInVain", f"+callbacks.vain.place={place}"]
    ended = run_script("train.py", *options, cwd=tmp_path, PYTHONPATH=str(REPOSITORY))
    assert ended.status == 130, ended.stderr
    assert ("came where Python cannot stop" in ended.stderr) == (place == "destructor")
    assert "train.py resume=" in ended.stderr
    assert "Traceback" not in ended.stderr
    run = tmp_path / "run"
    assert summary_of(run)["status"] == "interrupted"
    assert [steps_of(checkpoint) for checkpoint in checkpoints_in(run / "checkpoints")] == [1]
    assert not damages(run)
