"""Workers that are killed and workers that hang: the others end, in one line, and the run goes on later."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, run_script
from tests.distributed.test_workers import COMMON, two_workers
from tests.faults.intact import damages, untrue_statuses
from tests.reading import QUICK, summary_of

pytestmark = pytest.mark.thorough  # several processes

#: A Keras callback that sends a signal to its process after the third epoch, unless that has happened before
SIGNALLED_ONCE = """
import os
from pathlib import Path

import keras


class SignalledOnce(keras.callbacks.Callback):
    def __init__(self, number):
        super().__init__()
        self.number = number

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 2 and not Path("signalled").exists():
            Path("signalled").touch()
            os.kill(os.getpid(), self.number)
"""


@pytest.mark.parametrize(
    ("number", "options", "message"),
    [
        (signal.SIGKILL, [], "hydra/launcher=joblib: a worker process was killed"),
        (signal.SIGSTOP, ["hydra.launcher.timeout=60"], "hydra.launcher.timeout: a run took longer than these seconds"),
    ],
)
def test_a_sweep_whose_worker_was_killed_or_hung_goes_on(
    number: int, options: list[str], message: str, tmp_path: Path
) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="needs the extra 'sweep'")
    (tmp_path / "signalling.py").write_text(SIGNALLED_ONCE)
    sweep = ["trainer.epochs=4", "data.take=256", "model.hidden=[8]", "audit=none", QUICK, "seed=0,1"]
    sweep += ["+callbacks.signalling._target_=signalling.SignalledOnce", f"+callbacks.signalling.number={number:d}"]
    sweep += ["hydra.sweep.dir=sweep"]
    path = f"{REPOSITORY}:{tmp_path}"
    ended = run_script("train.py", "-m", *sweep, "hydra/launcher=joblib", *options, cwd=tmp_path, PYTHONPATH=path)
    assert (tmp_path / "signalled").exists()
    assert ended.status == 1
    assert ended.stderr.splitlines()[-1].startswith(f"train.py: {message}")
    assert "Traceback" not in ended.stderr
    assert not damages(tmp_path / "sweep")
    assert not untrue_statuses(tmp_path / "sweep")
    again = run_script("train.py", "-m", *sweep, cwd=tmp_path, PYTHONPATH=path)
    assert again.status == 0, again.stderr
    assert [summary_of(run)["status"] for run in (tmp_path / "sweep").glob("*-analytic-*")] == ["finished"] * 2


def test_a_worker_that_hangs_is_reported(tmp_path: Path) -> None:
    """SIGSTOP: the process is there, its connections are open, and it does nothing."""
    (tmp_path / "tmp").mkdir()
    run = tmp_path / "run"
    with two_workers(*COMMON, "trainer.epochs=2000", "hydra.run.dir=run", cwd=tmp_path) as (chief, other):
        while not any((run / "checkpoints").glob("step-*.keras")):
            assert chief.poll() is None, [chief.communicate(), other.kill(), other.communicate()]
            time.sleep(0.005)
        other.send_signal(signal.SIGSTOP)
        _, stderr = chief.communicate(timeout=120)
    assert chief.returncode == 1, stderr
    assert re.search(r"train.py: another worker ended or does not answer any more. To resume, on all workers", stderr)
    assert summary_of(run)["status"] == "interrupted"
    assert not damages(run)
