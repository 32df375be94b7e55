"""Sweeps on Hydra's launchers: real runs, two at a time, each on its share of the cores; and started again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import joblib
import keras
import pytest
from omegaconf import OmegaConf

from tests.cli.sweep_config import EXTRA, PLUGINS, sweep_config
from tests.conftest import REPOSITORY, Outcome, inherited_environment, run_here, run_script
from tests.reading import summary_of, weights_are_equal
from vae.cli.arguments import prepared
from vae.cli.sweeps import _one_line, start_sweep

QUICK = ["latent.size=4", "trainer.epochs=2", "trainer.engine=keras", "data.take=256", "audit=none"]

#: A Keras callback that waits until another run has begun, too, and notes what it saw
PROBE = """
import json
import os
import time
from pathlib import Path

import keras
import tensorflow as tf


class Probe(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        folder = Path(os.environ["PROBE_FOLDER"])
        threads = tf.config.threading
        seen = {
            "process": os.getpid(),
            "threads": [threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()],
        }
        (folder / f"{time.time_ns()}.json").write_text(json.dumps(seen))
        deadline = time.monotonic() + 120
        while len(list(folder.glob("*.json"))) < int(os.environ["PROBE_WAITS_FOR"]):
            if time.monotonic() > deadline:
                raise TimeoutError("no other run began while this one waited")
            time.sleep(0.05)
"""


def contents(directory: Path) -> dict[Path, tuple[bytes, int]]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def started(options: list[str]) -> list[Path]:
    """The directories of the runs that a sweep with these options would train."""
    with sweep_config(options) as config:
        return start_sweep(config)


@pytest.mark.thorough
def test_a_sweep_ends_with_its_comparison_and_names_the_run_that_failed(tmp_path: Path) -> None:
    """In this process: a learning rate that is good, and one at which training diverges."""
    small = ["data.take=16", "trainer.batch_size=8", "model.hidden=[8]", "hydra.sweep.dir=sweep"]
    ended = run_here("train.py", "-m", *QUICK, *small, "optimizer.learning_rate=0.001,1e30", cwd=tmp_path)
    assert ended.status == 1
    (failed,) = [line for line in ended.stderr.splitlines() if line.startswith("train.py: ")]
    assert failed.startswith("train.py: sweep/1-analytic-0-optimizer.learning_rate=1e30: ")
    assert "became NaN or infinite in training step 2" in failed  # the first weights after a step are still finite
    assert "2 runs; nats per image, validation split" in ended.stdout
    assert (tmp_path / "sweep" / "comparison" / "report.html").is_file()
    statuses = [summary_of(path.parent)["status"] for path in sorted((tmp_path / "sweep").glob("*/summary.json"))]
    assert statuses == ["finished", "diverged"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The second run of the sweeps, alone in a process of its own."""
    folder = tmp_path_factory.mktemp("alone")
    ended = run_script("train.py", *QUICK, "kl=keras_loss", "trainer.threads=1", "hydra.run.dir=run", cwd=folder)
    assert ended.status == 0, ended.stderr
    return folder / "run"


def swept(launcher: str, folder: Path, *options: str, waits_for: int = 2) -> tuple[Outcome, list[dict[str, Any]]]:
    """A sweep on a launcher into the folder's `sweep`: how it ended, and what the probe saw of what trained."""
    (folder / "probe.py").write_text(PROBE)
    (folder / "seen").mkdir()
    ended = run_script(
        "train.py",
        "-m",
        f"hydra/launcher={launcher}",
        *QUICK,
        *options,
        "kl=analytic,keras_loss",
        "hydra.sweep.dir=sweep",
        "+callbacks.probe._target_=probe.Probe",
        cwd=folder,
        PYTHONPATH=f"{REPOSITORY}{os.pathsep}{folder}",
        PROBE_FOLDER=str(folder / "seen"),
        PROBE_WAITS_FOR=str(waits_for),
    )
    return ended, [json.loads(path.read_text()) for path in sorted((folder / "seen").iterdir())]


def assert_two_trained_and_two_are_named(
    ended: Outcome, sweep: Path, alone: Path, option: str, values: tuple[str, str], why: str
) -> None:
    """The first two runs, of a good value, and the last two, of one that fails."""
    assert ended.status == 1
    runs = [f"{number}-{kl}-0-{option}" for number, kl in enumerate(("analytic", "keras_loss") * 2)]
    named = [line for line in ended.stderr.splitlines() if line.startswith("train.py: ")]
    assert [line.split(": ")[1] for line in named] == [f"sweep/{run}={values[1]}" for run in runs[2:]]
    assert all(line.endswith(why) for line in named), named
    assert "Traceback" not in ended.stderr
    trained = [sweep / f"{run}={values[0]}" for run in runs[:2]]
    assert [summary_of(run)["status"] for run in trained] == ["finished", "finished"]
    assert weights_are_equal(trained[1] / "model.keras", alone / "model.keras")


@pytest.mark.parametrize("summary", [{"validation": {"elbo": "x"}}, {"validation": [1], "status": [2]}, {"status": {}}])
def test_a_summary_that_is_not_ours_ends_no_sweep(
    summary: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with _one_line(tmp_path):
        print("epoch 1/2")
    assert capsys.readouterr().out.endswith("epochs 1 to 1 of 2\n")


@pytest.mark.thorough
def test_one_after_the_other_in_one_process(alone: Path, tmp_path: Path) -> None:
    """The second run in a process is to the bit what it is in a process of its own."""
    options = ["trainer.threads=1", "optimizer.learning_rate=0.001,1e20"]
    ended, seen = swept("basic", tmp_path, *options, waits_for=1)
    why = "try a smaller optimizer.learning_rate, or optimizer.clipnorm=1"
    rates = ("0.001", "1e20")
    assert_two_trained_and_two_are_named(ended, tmp_path / "sweep", alone, "optimizer.learning_rate", rates, why)
    assert len(seen) == 4
    assert len({run["process"] for run in seen}) == 1
    assert ended.stderr.count("warning: effective beta is 0.25") == 1
    names = [
        [layer.name for layer in keras.models.load_model(run / "model.keras").encoder.layers]
        for run in (alone, tmp_path / "sweep" / "1-keras_loss-0-optimizer.learning_rate=0.001")
    ]
    assert names[0] == names[1]


@pytest.mark.thorough
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_side_by_side_each_on_its_share_of_the_cores(launcher: str, alone: Path, tmp_path: Path) -> None:
    pytest.importorskip(PLUGINS[launcher], reason=EXTRA)
    cores = joblib.cpu_count()
    if cores < 2:
        pytest.skip("needs two cores")
    ended, seen = swept(launcher, tmp_path, "trainer.batch_size=128,1000")
    why = "trainer.batch_size=1000: is more than 256, the number of training images (data.take=256)"
    sizes = ("128", "1000")
    assert_two_trained_and_two_are_named(ended, tmp_path / "sweep", alone, "trainer.batch_size", sizes, why)
    assert len({run["process"] for run in seen}) == 2  # which waited for each other
    share = cores // min(cores, 4)
    assert [run["threads"] for run in seen] == [[share, share]] * 2
    overrides = OmegaConf.load(
        tmp_path / "sweep" / "1-keras_loss-0-trainer.batch_size=128" / ".hydra" / "overrides.yaml"
    )
    assert f"trainer.threads={share}" in overrides


@pytest.mark.thorough
def test_started_again_it_does_what_is_left(alone: Path, tmp_path: Path) -> None:
    """Four times the same run: finished, stopped after an epoch, stopped before its end was written, not begun."""
    sweep = tmp_path / "sweep"
    for number in range(3):
        shutil.copytree(alone, sweep / f"{number}-keras_loss-0")
    for run in (sweep / "1-keras_loss-0", sweep / "2-keras_loss-0"):
        (run / "model.keras").unlink()
        (run / "summary.json").write_text('{"status": "interrupted"}')
    (sweep / "1-keras_loss-0" / "checkpoints" / "step-00000004.keras").unlink()
    finished = contents(sweep / "0-keras_loss-0")
    options = [*QUICK, "kl=keras_loss", "seed=0,0,0,0", "trainer.threads=1", "hydra.sweep.dir=sweep"]

    ended = run_script("train.py", "-m", *options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert "runs: 4, already finished: 1" in ended.stdout
    lines = [line.split("  ")[:3] for line in ended.stdout.splitlines() if "-keras_loss-0  " in line]
    trained = ["no epoch", "epochs 2 to 2 of 2", "no epoch", "epochs 1 to 2 of 2"]
    assert lines == [[f"{number}-keras_loss-0", "finished", epochs] for number, epochs in enumerate(trained)]
    assert contents(sweep / "0-keras_loss-0") == finished
    for number in range(4):
        assert weights_are_equal(sweep / f"{number}-keras_loss-0" / "model.keras", alone / "model.keras"), number

    ended = run_script("train.py", "-m", *options, cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert "runs: 4, already finished: 4" in ended.stdout
    assert ended.stdout.count("-keras_loss-0  finished  no epoch") == 4
    assert "4 runs; nats per image, validation split" in ended.stdout
    assert "report     sweep/comparison/report.html" in ended.stdout
    assert "curves     tensorboard --logdir sweep, run comparison: the differences" in ended.stdout
    assert (sweep / "comparison" / "report.html").exists()
    assert [*(sweep / "comparison").glob("events.out.tfevents.*")]


@pytest.mark.thorough
def test_a_run_is_planned_where_it_is_trained(tmp_path: Path) -> None:
    """References in what is swept and in the names of runs are Hydra's to resolve."""
    sweep = ["-m", *QUICK, "latent.size=4,${trainer.epochs}", "trainer.epochs=1", "hydra.sweep.dir=sweep"]
    sweep.append("hydra.callbacks.preflight.compares=false")
    for extra, names in (
        ([], ["0-analytic-0-latent.size=4", "1-analytic-0-latent.size=trainer.epochs"]),
        (["hydra.sweep.subdir=${hydra.job.num}"], ["0", "1"]),
    ):
        for finished in (0, 2):
            ended = run_here("train.py", *sweep, *extra, cwd=tmp_path)
            assert ended.status == 0, ended.stderr
            assert f"runs: 2, already finished: {finished}," in ended.stdout
        assert sorted(path.parent.name for path in tmp_path.glob("sweep/*/summary.json")) == names
        shutil.rmtree(tmp_path / "sweep")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("experiment", "runs"),
    [
        ("experiment=kl_study", 20),
        ("+experiment=kl_study", 20),
        ("experiment=frontier", 65),
        ("experiment=direction_study", 9),
        ("experiment=beta_study", 15),
    ],
)
def test_a_study_is_one_command(
    experiment: str, runs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len({*started(prepared([experiment]))}) == runs
    assert f"runs: {runs}, already finished: 0" in capsys.readouterr().out


@pytest.mark.thorough
@pytest.mark.parametrize("left", ["model.keras", "checkpoints"])
def test_a_run_of_another_configuration_is_never_written_over(
    left: str, trained_run: Path, tmp_path: Path, no_tensorflow: str
) -> None:
    """Neither one that is finished nor one that could go on."""
    run = tmp_path / "sweep" / "1-keras_loss-0"
    shutil.copytree(trained_run, run)
    if left == "model.keras":
        shutil.rmtree(run / "checkpoints")
    else:
        (run / "model.keras").unlink()
        (run / "summary.json").unlink()
    before = contents(tmp_path)
    options = ["trainer.epochs=3", "latent.size=5", "beta.value=2", "kl=analytic,keras_loss", "hydra.sweep.dir=sweep"]
    ended = run_script("train.py", "-m", *options, cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 2
    assert ended.stderr.splitlines() == [
        "train.py: hydra.sweep.dir: sweep/1-keras_loss-0 holds a run with another beta.value, latent.size, "
        "which is never written over"
    ]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["beta.value=1,4", "trainer.epochs=2"], ["0-analytic-0-beta.value=1", "1-analytic-0-beta.value=4"]),
        (["kl=backend", "kl.points=8,16", "seed=3"], ["0-backend-3-kl.points=8", "1-backend-3-kl.points=16"]),
        (["model.hidden=[8,8],[4]"], ["0-analytic-0-model.hidden=8,8", "1-analytic-0-model.hidden=4"]),
        (["data.name='../x','é y'"], ["0-analytic-0-data.name=..-x", "1-analytic-0-data.name=y"]),
        ([f"data.name={'n' * 300},b"], ["0-analytic-0-data.name=" + "n" * 110, "1-analytic-0-data.name=b"]),
        (["kl=analytic", "trainer.threads=1"], ["0-analytic-0"]),
    ],
    ids=["beta", "kl", "list", "path", "long", "nothing"],
)
def test_a_run_s_name_tells_what_the_sweep_varies(
    options: list[str], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert started(options) == [Path("sweep", name) for name in names]


@pytest.mark.thorough
def test_two_runs_never_share_a_directory(tmp_path: Path, no_tensorflow: str) -> None:
    options = ["seed=0,1", "hydra.sweep.dir=sweep", "hydra.sweep.subdir=run"]
    ended = run_script("train.py", "-m", *options, cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 2
    assert ended.stderr.count("\n") == 1
    assert "train.py: hydra.sweep.subdir: several runs would share sweep/run" in ended.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_what_is_for_a_single_run(trained_run: Path, tmp_path: Path, no_tensorflow: str) -> None:
    for option in (f"resume={trained_run}", "trainer.strategy=multi_worker"):
        ended = run_script("train.py", "-m", option, "seed=0,1", cwd=tmp_path, PYTHONPATH=no_tensorflow)
        assert ended.status == 2
        assert ended.stderr.startswith(f"train.py: {option}: is for a single run")
        assert len(ended.stderr.splitlines()) == 1
        assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_after_ctrl_c_it_goes_on_with_another_launcher_too(tmp_path: Path) -> None:
    pytest.importorskip(PLUGINS["joblib"], reason=EXTRA)
    options = [*QUICK, "trainer.epochs=12", "seed=0,1", "hydra.sweep.dir=sweep"]
    command = [sys.executable, str(REPOSITORY / "train.py"), "-m", *options, "hydra/launcher=joblib"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=inherited_environment(),  # or TensorFlow's log fills the pipe, which nobody reads before the end
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    folders = [tmp_path / "sweep" / run / "checkpoints" for run in ("0-analytic-0", "1-analytic-1")]
    while not any(list(folder.glob("step-*.keras")) for folder in folders):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    had_an_epoch = sum(max(folder.glob("step-*.keras"), default=Path()).stem >= "step-00000002" for folder in folders)

    again = run_script("train.py", "-m", *options, cwd=tmp_path)
    assert again.status == 0, again.stderr
    assert again.stdout.count("finished  epochs 1 to 12 of 12") == 2 - had_an_epoch
    for folder in folders:
        assert summary_of(folder.parent)["status"] == "finished"
        epochs = [line.split(",")[0] for line in (folder.parent / "history.csv").read_text().splitlines()[1:]]
        assert epochs == [str(epoch) for epoch in range(1, 13)]
