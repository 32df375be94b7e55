"""A user's mistake: one line on stderr that names what was wrong and what would be right, status 2, nothing written.

Most of it is found before TensorFlow is loaded: those cases run with a TensorFlow that cannot be imported.
"""

import json
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Run, inherited_environment, run_here, run_script
from tests.reading import summary_of, untimed_history_of, weights_are_equal
from vae.training.checkpoints import checkpoints_in

LONG = 300 * "x"  # more than a file system takes for a name
# The command line, and what the line must name: what was wrong, then what would be right
BEFORE_TENSORFLOW = [
    (["nonsense=1"], "nonsense: there is no such option", "--help"),
    (["trainer.epoch=3"], "trainer.epoch: there is no such option", "did you mean trainer.epochs?"),
    (["trainr=default"], "trainr: there is no such option", "did you mean trainer?"),
    (["kl=kullback"], "kl=kullback: there is no such option", "choose one of analytic, backend, jensen_shannon"),
    (["data=cifar11"], "data=cifar11: there is no such option", "cifar10"),
    (["model=resnet"], "model=resnet: there is no such option", "conv, mlp"),
    (["experiment=nothing"], "experiment=nothing: there is no such option", "mnist_conv"),
    (["kl.support=histogram"], "kl.support: there is no such option", "--help"),
    (["kl.direction=sideways"], "kl.direction=sideways", "'forward', 'reverse' or 'symmetric'"),
    (["kl=backend", "kl.support=line"], "kl.support=line", "'quadrature' or 'histogram'"),
    (["kl=backend", "kl.points=1"], "kl.points=1", "greater than or equal to 2"),
    (["kl=backend", "kl.points=many"], "kl.points=many", "integer"),
    (["kl=keras_loss", "kl.reduction=median"], "kl.reduction=median", "'sum_over_batch_size'"),
    (["kl=keras_loss", "kl.calibrate=perhaps"], "kl.calibrate=perhaps", "boolean"),
    (["kl=renyi", "kl.alpha=1"], "kl.alpha=1", "must not be 1"),
    (["kl=renyi", "kl.alpha=-0.5"], "kl.alpha=-0.5", "greater than 0"),
    (["kl=monte_carlo", "kl.samples=0"], "kl.samples=0", "greater than 0"),
    (["kl=raw", "kl.form=sigma"], "kl.form=sigma", "'parameters', 'softmax' or 'log_var'"),
    (["kl=tc", "kl.direction=reverse"], "kl.direction: there is no such option", "--help"),
    (["latent=bernoulli", "latent.temperature=0"], "latent.temperature=0", "greater than 0"),
    (["latent=categorical", "latent.classes=1"], "latent.classes=1", "greater than or equal to 2"),
    (["prior=mixture", "prior.components=0"], "prior.components=0", "greater than 0"),
    (["prior=flow"], "prior=flow: there is no such option", "mixture, standard, vamp"),
    (["beta=linear", "beta.length=0"], "beta.length=0", "greater than 0"),
    (["beta=cyclical", "beta.rising=2"], "beta.rising=2", "less than or equal to 1"),
    (["beta=cosine", "beta.unit=hours"], "beta.unit=hours", "'epochs' or 'steps'"),
    (["objective.free_bits=-1"], "objective.free_bits=-1", "greater than or equal to 0"),
    (["objective.capacity=-1"], "objective.capacity=-1", "greater than or equal to 0"),
    (["kl._target_=MyKL"], "kl._target_=MyKL", "package.Class"),
    (["kl._target_=no_such_package.MyKL"], "kl=no_such_package.MyKL", "there is no module no_such_package"),
    (["kl._target_=vae.kl.Nothing"], "kl=vae.kl.Nothing", "there is no class Nothing in vae.kl"),
    (["kl._target_=collections.OrderedDict"], "kl._target_=collections.OrderedDict", "vae.kl.KLRegularizer"),
    (["kl=backend", "kl.suport=line"], "kl.suport: there is no such option", "did you mean kl.support?"),
    (["latent.size=-1"], "latent.size=-1", "greater than 0"),
    (["latent.size=0"], "latent.size=0", "greater than 0"),
    (["latent.size=2.5"], "latent.size=2.5", "integer"),
    (["trainer.epochs=0"], "trainer.epochs=0", "greater than 0"),
    (["trainer.epochs=ten"], "trainer.epochs=ten", "integer"),
    (["trainer.epochs="], "trainer.epochs=", "integer"),
    (["trainer.chunk=0"], "trainer.chunk=0", "greater than 0"),
    (["trainer.checkpoint_seconds=0"], "trainer.checkpoint_seconds=0", "greater than 0"),
    (["trainer.checkpoint_seconds=-5"], "trainer.checkpoint_seconds=-5", "greater than 0"),
    (["trainer.audit_interval=0"], "trainer.audit_interval=0", "greater than 0"),
    (["trainer.precision=float8"], "trainer.precision=float8", "'float32', 'bfloat16' or 'float16'"),
    (["trainer.strategy=parameter_server"], "trainer.strategy=parameter_server", "'single', 'mirrored'"),
    (["trainer.strategy=multi_worker"], "trainer.strategy=multi_worker: there is no TF_CONFIG", "TF_CONFIG='{"),
    (["data.memory_limit=-1"], "data.memory_limit=-1", "greater than or equal to 0"),
    (["trainer.batch_size=-20"], "trainer.batch_size=-20", "greater than 0"),
    (["beta.value=-1"], "beta.value=-1", "greater than or equal to 0"),
    (["beta.value=nan"], "beta.value=nan", "finite"),
    (["beta.value=true"], "beta.value=true", "number"),
    (["optimizer.learning_rate=0"], "optimizer.learning_rate=0", "greater than 0"),
    (["likelihood=gaussian", "likelihood.scale=-0.5"], "likelihood.scale=-0.5", "'learned'"),
    (
        ["likelihood=discretized_logistic", "data.binarization=dynamic"],
        "data.binarization=dynamic: leaves only black and",
        "data.binarization=none",
    ),
    (["likelihood=dequantized_gaussian", "data.binarization=threshold"], "=threshold: leaves", "likelihood=bernoulli"),
    (
        ["likelihood=discretized_logistic", "likelihood.levels=257"],
        "likelihood.levels=257",
        "less than or equal to 256",
    ),
    (["model.hidden=[]"], "model.hidden=[]", "at least 1 item"),
    (["model.hidden=[200,0]"], "model.hidden=[200,0]: item 2", "greater than 0"),
    (["model.hidden=200"], "model.hidden=200", "list"),
    (["model.hidden=wide"], "model.hidden=wide", "list"),
    (["data.binarization=maybe"], "data.binarization=maybe", "'none', 'threshold' or 'dynamic'"),
    (["data.take=0"], "data.take=0", "greater than 0"),
    (["data.shape=[28,28]"], "data.shape=[28,28]", "3 items"),
    (["data=tfds"], "data.name: must be given", "data.name=VALUE"),
    (["seed=-1"], "seed=-1", "greater than or equal to 0"),
    (["seed=zero"], "seed=zero", "integer"),
    (["trainer=7"], "a group takes one of its options, by name", "--help"),
    (["kl=[analytic]"], "kl=[analytic]: a group takes one of its options, by name", "--help"),
    (["optimizer=sort([adam])"], "optimizer=sort([adam]): a group takes one of its options", "--help"),
    (["kl={a:1}"], "kl: a group takes one of its options, by name", "--help"),
    (["-m", "kl=backend,[analytic]"], "kl=[analytic]: a group takes one of its options, by name", "--help"),
    (["-m", "kl=[analytic]", "seed=0,1"], "kl=[analytic]: a group takes one of its options, by name", "--help"),
    (["seed=${seed}"], "seed: refers to itself", "give it a value"),
    (["kl=renyi", "kl.alpha=${kl}"], "kl.alpha: refers to itself", "give it a value"),
    (["latent.size=${trainer.epochs}", "trainer.epochs=${latent.size}"], "refers to itself", "give it a value"),
    (["-m", "latent.size=4,${latent.size}"], "latent.size: refers to itself", "give it a value"),
    (["seed=\\${trainer.epochs}"], "seed=${trainer.epochs}: must not hold ${", "once it is resolved"),
    (["callbacks=early_stopping", "callbacks.early_stopping.mode=auto"], "monitor=val_elbo: Keras cannot", "mode=max"),
    (
        ["+callbacks.x._target_=tests.config.custom.Stops", "+callbacks.x.monitor=val_kl"],
        "callbacks.x.monitor=val_kl",
        "min",
    ),
    (["callbacks=early_stopping", "callbacks.early_stopping.monitor=[a]"], 'monitor=["a"]', "valid string"),
    (["callbacks=early_stopping", "callbacks.early_stopping.baseline=low"], "baseline=low", "valid number"),
    (
        ["+callbacks.lower._target_=keras.callbacks.ReduceLROnPlateau", "+callbacks.lower.monitor=val_elbo"],
        "callbacks.lower.monitor=val_elbo: Keras cannot tell in which direction it improves",
        "add callbacks.lower.mode=max",
    ),
    (
        ["+callbacks.x._target_=keras.callbacks.SwapEMAWeights"],
        "callbacks.x: evaluates moving",
        "optimizer.use_ema=true",
    ),
    (
        ["+callbacks.x._target_=keras.callbacks.LearningRateScheduler", "+callbacks.x.schedule=3"],
        "callbacks.x._target_=keras.callbacks.LearningRateScheduler: calls a function",
        "optimizer.learning_rate takes a schedule",
    ),
    (["+callbacks.x._target_=keras.callbacks.LambdaCallback"], "calls a function", "a callback of your own"),
    (["callbacks=early_stopping", "callbacks.early_stopping.mode=up"], "mode=up", "'auto', 'min' or 'max'"),
    (["callbacks=early_stopping", "callbacks.early_stopping.patience=-1"], "patience=-1", "greater than or equal to 0"),
    (["~data", "data.take=400"], "data.take: there is no such option here", "did you mean data.name?"),
    ([f"hydra.run.dir={LONG}"], f"{LONG}: cannot be written (File name too long)", "name another folder"),
    (["-m", f"hydra.sweep.dir={LONG}"], f"{LONG}: cannot be written (File name too long)", "name another folder"),
    ([f"resume={LONG}"], f"resume={LONG}: there is no such directory", ""),
    ([f"kl={LONG}"], f"kl={LONG}: there is no such option", "analytic"),
    ([f"kl={LONG}.MyKL"], f"there is no module {LONG}", ""),
    ([f"kl@{LONG}=analytic"], f"kl@{LONG}: there is no such option here", "--help"),
    ([f"{LONG}=3"], "File name too long", ""),
    (["hydra.run.dir="], "hydra.run.dir=: is empty", "name a file or folder"),
    (["hydra.run.dir=''"], "hydra.run.dir='': is empty", "name a file or folder"),
    (['hydra.run.dir=" "'], 'hydra.run.dir=" ": is empty', "name a file or folder"),
    (["-m", "hydra.sweep.dir="], "hydra.sweep.dir=: is empty", "name a file or folder"),
    (["resume="], "resume=: is empty", "name a file or folder"),
    (["a=["], "a=[", "grammar"),
    (["resume=nowhere"], "resume=nowhere: there is no such directory", ""),
    (["resume=."], "resume=.: not the directory of a run", ".hydra/config.yaml"),
]

# Those of the data sets themselves are in tests/data/test_source.py
AFTER_TENSORFLOW = [
    (["data.dir=nowhere"], "data.dir=nowhere: there is no such folder", ""),
    (["data=tfds", "data.name=glue"], "data.name=glue: not an image set", "data=mnist"),
    (["trainer.batch_size=5000"], "trainer.batch_size=5000: is more than 1258, the number of training images", ""),
    (["model.activation=rleu"], "model.activation=rleu: Keras has no such activation", "relu"),
    (["latent=categorical", "kl=monte_carlo"], "latent=categorical, prior=standard do not go together", "kl=analytic"),
    (["prior=mixture"], "kl=analytic, latent=gaussian, prior=mixture do not go together", "kl=monte_carlo estimates"),
    (
        ["data=tests.config.test_agreement.Colors", "trainer.batch_size=8"],
        "BernoulliLikelihood is for black and white pixels",
        "likelihood=discretized_logistic",
    ),
    (
        ["likelihood=discretized_logistic", "likelihood.levels=16"],
        "likelihood.levels=16: the training images have values between 16 equally spaced",
        "choose 17",
    ),
    (["data.weights=nowhere.npy"], "data.weights=nowhere.npy: cannot be read", "a .npy file of 1258 numbers"),
]

EVALUATE = [
    ([], "run: must be given", "run=VALUE"),
    (["run=nowhere"], "run=nowhere: there is no such directory", ""),
    ([f"run={LONG}"], f"run={LONG}: there is no such directory", ""),
    (["run=."], "run=.: not the directory of a run", ".hydra/config.yaml"),
    (["run=.", "split=holdout"], "split=holdout", "'train', 'validation' or 'test'"),
    (["run=.", "nll_samples=0"], "nll_samples=0", "greater than 0"),
    (["run=.", "gap_images=0"], "gap_images=0", "greater than 0"),
    (["run=.", "gap_steps=many"], "gap_steps=many", "integer"),
    (["run=.", "kl=backend"], "kl: there is no such option", "--help"),
    (["run=.", "samples=5"], "samples: there is no such option", "did you mean nll_samples?"),
]


def assert_one_line(
    script: str, arguments: list[str], named: list[str], cwd: Path, run: Run = run_script, **environment: str
) -> None:
    ended = run(script, *arguments, cwd=cwd, **environment)
    assert ended.status == 2, ended
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith(f"{script}: ")
    for words in named:
        assert words in lines[0]
    assert list(cwd.iterdir()) == []


CASES = [("train", *case) for case in BEFORE_TENSORFLOW] + [("evaluate", *case) for case in EVALUATE]
#: Runs every command in a folder of its own: (script, arguments) on stdin, (status, stderr, files left) on stdout
ALL_IN_ONE_PROCESS = """
import contextlib, importlib, io, json, os, sys, tempfile
from hydra._internal.hydra import Hydra
from vae import cli
Hydra.get_mode = lambda *_, **__: None  # it composes everything a first time
outcomes = []
for script, arguments in json.load(sys.stdin):
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            status = cli.call(getattr(importlib.import_module(f"vae.scripts.{script}"), script), arguments)
        outcomes.append((status, errors.getvalue(), os.listdir()))
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def outcomes(no_tensorflow: str) -> dict[str, tuple[int, str, list[str]]]:
    """The outcome of every command, in one process in which TensorFlow cannot be imported."""
    commands = [(script, arguments) for script, arguments, *_ in CASES]
    ended = subprocess.run(
        [sys.executable, "-c", ALL_IN_ONE_PROCESS],
        input=json.dumps(commands),
        env={**inherited_environment(), "PYTHONPATH": f"{no_tensorflow}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(zip(map(str, commands), json.loads(ended.stdout), strict=True))


@pytest.mark.parametrize(("script", "arguments", "wrong", "right"), CASES, ids=lambda case: str(case)[:40])
def test_before_tensorflow(
    script: str, arguments: list[str], wrong: str, right: str, outcomes: dict[str, tuple[int, str, list[str]]]
) -> None:
    status, stderr, files = outcomes[str((script, arguments))]
    assert (status, files) == (2, [])
    assert stderr.count("\n") == 1, stderr
    assert stderr.startswith(f"{script}.py: ")
    assert wrong in stderr
    assert right in stderr


@pytest.mark.thorough
@pytest.mark.parametrize(("arguments", "wrong", "right"), AFTER_TENSORFLOW, ids=lambda case: str(case)[:40])
def test_train_after_tensorflow(arguments: list[str], wrong: str, right: str, tmp_path: Path) -> None:
    cwd = tmp_path / "empty"
    cwd.mkdir()
    proxy = "http://127.0.0.1:9"  # nothing listens there: no network
    assert_one_line("train.py", arguments, [wrong, right], cwd, run_here, HTTP_PROXY=proxy, HTTPS_PROXY=proxy)


@pytest.mark.thorough
def test_options_of_several_evaluations(trained_run: Path, tmp_path: Path) -> None:
    """The others are made."""
    shutil.copytree(trained_run, tmp_path / "run")
    ended = run_here("evaluate.py", "-m", "run=run", "nll_samples=-1,2,-3", "take=8", cwd=tmp_path)
    assert ended.status == 2
    assert ended.stderr.splitlines() == [
        f"evaluate.py: nll_samples={number}: should be greater than 0" for number in (-1, -3)
    ]
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["nll_samples"] == 2


def test_no_network(tmp_path: Path) -> None:
    """TFDS has made its folder of downloads by then; of the data set and of the run there is nothing."""
    proxy = "http://127.0.0.1:9"
    ended = run_here(
        "train.py", "data=kmnist", f"data.dir={tmp_path}", cwd=tmp_path, HTTP_PROXY=proxy, HTTPS_PROXY=proxy
    )
    assert ended.status == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "train.py: data.name=kmnist: not prepared in" in ended.stderr
    assert "give data.dir=DIR with the prepared data set, data.manual_dir=DIR" in ended.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"downloads"}


def test_a_run_is_never_written_over(trained_run: Path, tmp_path: Path, no_tensorflow: str) -> None:
    before = {path: path.read_bytes() for path in trained_run.rglob("*") if path.is_file()}
    arguments = [f"hydra.run.dir={trained_run}", "kl=backend"]
    assert_one_line(
        "train.py", arguments, ["holds a run already, which is never written over"], tmp_path, PYTHONPATH=no_tensorflow
    )
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_the_user_s_keeps_what_was_in_it(tmp_path: Path) -> None:
    """A run that cannot begin takes nothing away that was there before."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("kept")
    ended = run_here("train.py", "data.dir=nowhere", f"hydra.run.dir={folder}", cwd=tmp_path)
    assert ended.status == 2
    assert (folder / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("damage", ["truncated", "no zip", "missing"])
def test_a_damaged_model(damage: str, trained_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    shutil.rmtree(run / "checkpoints")
    model = run / "model.keras"
    whole = model.read_bytes()
    {
        "truncated": lambda: model.write_bytes(whole[: len(whole) // 2]),
        "no zip": lambda: model.write_bytes(b"nothing of the kind"),
        "missing": model.unlink,
    }[damage]()
    ended = run_here("evaluate.py", "run=run", cwd=tmp_path)
    assert ended.status == 2
    assert len(ended.stderr.splitlines()) == 1
    expected = "has neither model.keras nor a checkpoint" if damage == "missing" else "model.keras is missing, damaged"
    assert f"evaluate.py: run=run: {expected}" in ended.stderr
    assert not (run / "evaluation.json").exists()


def test_a_damaged_configuration(trained_run: Path, tmp_path: Path, no_tensorflow: str) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text("kl: [")
    ended = run_script("evaluate.py", "run=run", cwd=tmp_path, PYTHONPATH=no_tensorflow)
    assert ended.status == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "run=run: its .hydra/config.yaml is damaged" in ended.stderr


@pytest.mark.thorough
def test_a_damaged_checkpoint_gives_way_to_the_one_before(trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "step-00000030.keras").write_bytes(b"damaged")
    ended = run_script("train.py", "resume=run", "trainer.epochs=4", cwd=tmp_path)
    assert ended.status == 0, ended.stderr
    assert "step-00000030.keras is missing, damaged" in ended.stderr
    assert "using the checkpoint before it" in ended.stderr
    epochs = [line.split("  ")[0] for line in ended.stdout.splitlines() if line.startswith("epoch")]
    assert epochs == [  # from the checkpoint of the first epoch
        "epoch 2/4",
        "epoch 3/4",
        "epoch 4/4",
    ]


IN_A_SMALL_FILE_SYSTEM = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]


@pytest.fixture(scope="module")
def _small_file_systems() -> None:
    try:
        subprocess.run([*IN_A_SMALL_FILE_SYSTEM, "mount -t tmpfs tmpfs /mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs unshare and user namespaces, to mount a file system of its own")


@pytest.mark.thorough
@pytest.mark.usefixtures("_small_file_systems")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """A disk of 600 kB fills in the third epoch; given more, the run goes on to where it would have ended anyway."""
    train = shlex.join([sys.executable, str(REPOSITORY / "train.py")])
    options = "trainer.epochs=6 trainer.engine=keras model.hidden=[64]"
    program = f"""
        mkdir disk && mount -t tmpfs -o size=600k tmpfs disk
        {train} {options} hydra.run.dir=disk/run && exit 9
        cp -r disk/run full
        mount -o remount,size=9M disk
        {train} resume=disk/run
        cp -r disk/run resumed
    """
    ended = subprocess.run(
        [*IN_A_SMALL_FILE_SYSTEM, program],
        cwd=tmp_path,
        env=inherited_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "train.py: disk/run: cannot be written (No space left on device)" in ended.stderr
    assert "python train.py resume=disk/run" in ended.stderr
    assert summary_of(tmp_path / "full")["status"] in ("failed", "running")
    assert not list((tmp_path / "full").rglob(".*.keras"))
    assert all(zipfile.ZipFile(path).testzip() is None for path in checkpoints_in(tmp_path / "full" / "checkpoints"))
    whole = run_script("train.py", *options.split(), "hydra.run.dir=whole", cwd=tmp_path)
    assert whole.status == 0, whole.stderr
    assert untimed_history_of(tmp_path / "resumed") == untimed_history_of(tmp_path / "whole")
    assert weights_are_equal(tmp_path / "resumed" / "model.keras", tmp_path / "whole" / "model.keras")


@pytest.mark.usefixtures("_small_file_systems")
def test_what_cannot_be_written_is_said_at_once(trained_run: Path, tmp_path: Path, no_tensorflow: str) -> None:
    """A run to resume, a new one and a sweep on a file system that only reads; a new one on a full disk."""
    (tmp_path / "disk").mkdir()
    shutil.copytree(trained_run, tmp_path / "run")
    train = shlex.join([sys.executable, str(REPOSITORY / "train.py")])
    program = f"""
        mount --bind run run && mount -o remount,bind,ro run
        {train} resume=run trainer.epochs=4 ||
        {train} hydra.run.dir=run/new ||
        {train} -m seed=0,1 hydra.sweep.dir=run/new ||
        mount -t tmpfs -o size=32k tmpfs disk && {train} hydra.run.dir=disk/run
    """
    ended = subprocess.run(
        [*IN_A_SMALL_FILE_SYSTEM, program],
        cwd=tmp_path,
        env={**inherited_environment(), "PYTHONPATH": no_tensorflow},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "train.py: resume=run: cannot be written (Read-only file system); name another folder",
        "train.py: hydra.run.dir=run/new: cannot be written (Read-only file system); name another folder",
        "train.py: hydra.sweep.dir=run/new: cannot be written (Read-only file system); name another folder",
        "train.py: hydra.run.dir=disk/run: cannot be written (No space left on device); name another folder",
    ]
