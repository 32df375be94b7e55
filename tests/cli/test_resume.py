"""A run that was stopped goes on as if nothing had happened; each run in a process of its own."""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, inherited_environment, run_here, run_script
from tests.reading import QUICK, history_of, scalars_of, summary_of, untimed_history_of, weights_are_equal
from vae.training.checkpoints import checkpoints_in, steps_of

pytestmark = pytest.mark.thorough  # runs that are killed and resumed

#: Callbacks that remember: the best so far, and for how long nothing was better.
REMEMBERING = [
    "callbacks=early_stopping",
    "callbacks.early_stopping.patience=50",
    "+callbacks.plateau._target_=keras.callbacks.ReduceLROnPlateau",
    "+callbacks.plateau.monitor=val_elbo",
    "+callbacks.plateau.mode=max",
    "+callbacks.plateau.patience=2",
    "+callbacks.plateau.min_delta=100",
]


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(REPOSITORY / "train.py"), *arguments]
    environment = inherited_environment()
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> bool:
    """Waits until something happened, and says whether it did before the process ended."""
    while not happened():
        if process.poll() is not None:
            return False
        time.sleep(0.002)
    return True


def assert_same(run: Path, whole: Path, epochs: int) -> None:
    """Weights to the bit, history to the digit but for seconds, every TensorBoard step once."""
    assert summary_of(run)["status"] == "finished"
    assert weights_are_equal(run / "model.keras", whole / "model.keras")
    assert untimed_history_of(run) == untimed_history_of(whole)
    for split in ("train", "validation"):
        scalars = scalars_of(run / "tensorboard" / split)
        assert scalars.keys() == scalars_of(whole / "tensorboard" / split).keys()
        for tag, values in scalars.items():
            assert [step for step, _ in values] == list(range(1, epochs + 1)), tag


def test_interrupted_in_the_midst_of_an_epoch(tmp_path: Path) -> None:
    """SIGTERM, as a cluster sends it, after 40 of the 158 steps of the third epoch."""
    common = ["trainer.epochs=6", "trainer.batch_size=8", "trainer.chunk=2", "model.hidden=[16]", "audit=none"]
    common += REMEMBERING
    interrupting = {"_target_": "tests.cli.interrupting.InterruptOnce", "file": "interrupted", "epoch": 2, "call": 19}
    common += [f"+callbacks.interrupting.{name}={value}" for name, value in interrupting.items()]
    run = tmp_path / "it's a=run"  # a folder's name may have quotes, spaces and equals signs
    ended = run_script("train.py", *common, f"hydra.run.dir={run}", cwd=tmp_path, PYTHONPATH=str(REPOSITORY))
    whole = run_here("train.py", *common, "hydra.run.dir=whole", cwd=tmp_path)  # the file exists now
    assert whole.status == 0, whole.stderr
    stderr = ended.stderr
    assert ended.status == 130
    assert "stopping after this chunk" in stderr
    assert "train.py resume=" in stderr
    assert "Traceback" not in stderr
    assert summary_of(run)["status"] == "interrupted"
    assert not (run / "model.keras").exists()
    assert steps_of(checkpoints_in(run / "checkpoints")[0]) == 2 * 158 + 40
    assert "trust=[tests]" in stderr

    measured = run_here("evaluate.py", f"run={run}", "nll_samples=5", "take=50", "trust=tests", cwd=tmp_path)
    assert measured.status == 0, measured.stderr  # an interrupted run can be measured

    resumed = run_here("train.py", f"resume={run}", "trust=tests", cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    assert_same(run, tmp_path / "whole", epochs=6)
    rates = [float(row["train/learning_rate"]) for row in history_of(run)]
    assert rates[-1] < rates[0]  # the plateau's patience ended; after the resume, as in the whole run


def test_killed_ten_times(tmp_path: Path) -> None:
    """Killed as no signal handler hears it: while it loads, trains and writes checkpoints. Seeds 0 to 9 say when."""
    epochs = 40
    common = [f"trainer.epochs={epochs}", "trainer.batch_size=32", "model.hidden=[16]", "audit=none", QUICK]
    common += ["trainer.checkpoint_seconds=0.05"]
    common += REMEMBERING
    ended = run_here("train.py", *common, "hydra.run.dir=whole", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    run = tmp_path / "run"
    kept = run / "checkpoints"
    killed_while_writing = 0
    for number in range(10):
        moment = random.Random(number)
        begun = (run / ".hydra").is_dir()
        process = start(*(["resume=run"] if begun else [*common, "hydra.run.dir=run"]), cwd=tmp_path)
        rows = len(history_of(run)) if (run / "history.csv").exists() else 0
        goal = rows + moment.randint(1, 2)
        if number == 1:
            wait_for((run / ".hydra").exists, process)  # while TensorFlow loads
            time.sleep(moment.random())
        else:
            wait_for(lambda goal=goal: (run / "history.csv").exists() and len(history_of(run)) >= goal, process)  # type: ignore[misc]
        if number % 2:
            wait_for(lambda: any(kept.glob(".step-*")), process)
        else:
            time.sleep(moment.random() * 0.2)
        process.kill()
        process.communicate()
        killed_while_writing += any(kept.glob(".step-*"))
    assert killed_while_writing
    assert len(history_of(run)) < epochs, "it had ended before the last kill"
    resumed = run_here("train.py", "resume=run", cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    assert_same(run, tmp_path / "whole", epochs)
    assert not list(kept.glob(".*"))  # what a kill left half written is gone


def test_killed_between_an_epoch_s_log_and_its_checkpoint(trained_run: Path, tmp_path: Path) -> None:
    """The epoch is trained again: no row and no step is there twice, and the weights are the same."""
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "checkpoints" / "step-00000030.keras").unlink()
    (run / "model.keras").unlink()
    set_status(run, "running")
    resumed = run_here("train.py", "resume=run", cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    assert_same(run, trained_run, epochs=3)


def test_killed_after_its_last_checkpoint_a_stopped_run_stays_stopped(tmp_path: Path) -> None:
    """Early stopping had ended it; what is missing is the best weights' model."""
    stopping = ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "optimizer.learning_rate=0.3"]
    ended = run_here("train.py", *stopping, "model.hidden=[16]", QUICK, "hydra.run.dir=run", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    run, whole = tmp_path / "run", tmp_path / "whole"
    shutil.copytree(run, whole)
    epochs = len(history_of(run))
    assert epochs < 100
    (run / "model.keras").unlink()
    set_status(run, "running")
    resumed = run_here("train.py", "resume=run", cwd=tmp_path)
    assert resumed.status == 0, resumed.stderr
    assert_same(run, whole, epochs)
    assert_refused_without_history(run)


def assert_refused_without_history(run: Path) -> None:
    """Nothing is left to train, and the figures were in the history only: they would be lost from the summary."""
    (run / "history.csv").unlink()
    before = (run / "summary.json").read_bytes()
    ended = run_here("train.py", "resume=run", cwd=run.parent)
    assert ended.status == 2
    assert "resume=run: no epoch is left to train, and its history.csv is missing or damaged" in ended.stderr
    assert (run / "summary.json").read_bytes() == before


def test_options_that_are_written_out_train_and_resume(tmp_path: Path) -> None:
    """No option of these groups was chosen by its name."""
    written_out = [
        "~optimizer",
        "+optimizer={_target_: keras.optimizers.SGD, learning_rate: 0.001}",
        "~kl",
        "+kl={_target_: vae.kl.Analytic}",
        "~beta",
        "+beta={value: 2}",
    ]
    ended = run_here("train.py", *written_out, "trainer.epochs=1", "hydra.run.dir=run", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert summary_of(tmp_path / "run")["kl"] == "Analytic"
    ended = run_here("train.py", "resume=run", "trainer.epochs=2", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert len(history_of(tmp_path / "run")) == 2


def test_refuses_another_configuration(trained_run: Path, tmp_path: Path) -> None:
    ended = run_script("train.py", f"resume={trained_run}", "latent.size=8", "seed=3", cwd=tmp_path)
    assert ended.status == 2
    assert (
        "latent.size, seed cannot change; trainer.epochs, trainer.threads and the paths of the data can" in ended.stderr
    )
    ended = run_script("train.py", f"resume={trained_run}", cwd=tmp_path)
    assert ended.status == 2
    assert "has its 3 epochs; trainer.epochs=N trains longer" in ended.stderr
    assert summary_of(trained_run)["status"] == "finished"


def set_status(run: Path, status: str) -> None:
    (run / "summary.json").write_text(json.dumps({**summary_of(run), "status": status}))


def test_weights_that_early_stopping_restores_are_said_to_be_of_another_epoch(tmp_path: Path) -> None:
    """The ELBO falls from the second epoch on, as beta rises."""
    options = ["trainer.epochs=30", "data.take=64", "trainer.batch_size=16", "model.hidden=[8]", "latent.size=2"]
    options += ["callbacks=early_stopping", "callbacks.early_stopping.patience=1", "audit=none"]
    options += ["optimizer.learning_rate=0.3", "beta=linear", "beta.length=20", "hydra.run.dir=run"]
    ended = run_here("train.py", *options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    summary = summary_of(tmp_path / "run")
    best = max(history_of(tmp_path / "run"), key=lambda row: float(row["validation/elbo"]))
    assert summary["model_steps"] == int(best["step"]) < summary["steps"] < 30 * 4
    note = f"the weights of step {summary['model_steps']}: the saved model has these, and the figures above are of step"
    assert note in ended.stdout
    measured = run_here("evaluate.py", "run=run", "nll_samples=2", "take=16", cwd=tmp_path)
    assert f"the model of step {best['step']}; what training recorded last is of step" in measured.stdout
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["steps"] == summary["model_steps"]
    with pytest.warns(UserWarning, match=rf"ended this run after {summary['epochs']} epochs, and it trains no further"):
        again = run_here("train.py", "resume=run", "trainer.epochs=60", cwd=tmp_path)
    assert again.status == 0, again.stderr
    assert summary_of(tmp_path / "run")["steps"] == summary["steps"]
