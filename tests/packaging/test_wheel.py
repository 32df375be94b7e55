"""The sdist and the wheel of it, installed in an environment of its own and used in an empty folder."""

import json
import site
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY, Outcome, inherited_environment
from tests.reading import QUICK

pytestmark = pytest.mark.thorough


def succeed(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command, which must succeed, without the checkout on Python's path, and return what it printed."""
    ended = run(*command, cwd=cwd)
    assert ended.status == 0, ended.stdout + ended.stderr
    return ended.stdout


def run(*command: str | Path, cwd: Path | None = None) -> Outcome:
    environment = {name: value for name, value in inherited_environment().items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sdist, and of the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    succeed(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY)
    return folder


@pytest.fixture(scope="module")
def programs(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment with the wheel, whose dependencies are those of this one."""
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    (wheel,) = built.glob("*.whl")
    succeed(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    packages = succeed(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # Folders in a .pth file come after the environment's own, and an editable install in them stays unread
    Path(packages, "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return python.parent


@pytest.fixture(scope="module")
def folder(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in it, trained by `vae-train`. Tests only read it."""
    folder = tmp_path_factory.mktemp("empty")
    shown = succeed(programs / "vae-train", "trainer.epochs=1", "hydra.run.dir=run", QUICK, cwd=folder)
    assert "vae-evaluate run=run" in shown
    return folder


def test_the_sdist_has_what_git_has(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        packed = {Path(*Path(name).parts[1:]).as_posix() for name in opened.getnames()}
    tracked = succeed("git", "-C", REPOSITORY, "ls-files").splitlines()
    missing = {name for name in tracked if not Path(name).parts[0].startswith(".")} - packed
    assert not missing


def test_the_package_comes_from_the_wheel(programs: Path, tmp_path: Path) -> None:
    program = "import vae, vae.cli; print(vae.__file__, vae.cli.CONFIGS)"
    for path in succeed(programs / "python", "-c", program, cwd=tmp_path).split():
        assert Path(path).is_relative_to(programs.parent)


def test_every_configuration_is_in_the_wheel(programs: Path, tmp_path: Path) -> None:
    installed = Path(succeed(programs / "python", "-c", "import vae.cli; print(vae.cli.CONFIGS)", cwd=tmp_path).strip())
    ours = REPOSITORY / "configs"
    expected = {path.relative_to(ours): path.read_text() for path in ours.rglob("*.yaml")}
    assert {path.relative_to(installed): path.read_text() for path in installed.rglob("*.*")} == expected


def test_the_console_scripts_train_measure_and_compare(programs: Path, folder: Path) -> None:
    succeed(programs / "vae-evaluate", "run=run", "nll_samples=2", "take=50", cwd=folder)
    assert json.loads((folder / "run" / "evaluation.json").read_text())["split"] == "test"
    (row,) = json.loads(succeed(programs / "vae-compare", ".", "--format=json", cwd=folder))
    assert row["nll"] > 0


def test_a_sweep(programs: Path, tmp_path: Path) -> None:
    options = ["trainer.epochs=1", "data.take=256", "audit=none", "hydra.sweep.dir=sweep", QUICK]
    shown = succeed(programs / "vae-train", "-m", "kl=analytic,keras_loss", *options, cwd=tmp_path)
    assert "frontier   vae-train -m experiment=frontier" in shown
    assert "vae-compare sweep" in shown
    statuses = [json.loads(path.read_text())["status"] for path in tmp_path.glob("sweep/*/summary.json")]
    assert statuses == ["finished", "finished"]


@pytest.mark.parametrize("command", ["vae-train", "vae-evaluate", "vae-compare"])
def test_help_and_mistakes_name_the_console_script(command: str, programs: Path, tmp_path: Path) -> None:
    shown = succeed(programs / command, "--help", cwd=tmp_path)
    assert command in shown
    assert "python " not in shown
    ended = run(programs / command, "nonsense", cwd=tmp_path)
    assert (ended.status, ended.stderr.partition(":")[0], ended.stderr.count("\n")) == (2, command, 1)
    assert not list(tmp_path.iterdir())


def test_the_composed_configuration_is_that_of_the_checkout(programs: Path, tmp_path: Path) -> None:
    arguments = ["kl=keras_loss", "experiment=mnist_conv", "--cfg", "job"]
    shown = [
        succeed(*command, *arguments, cwd=tmp_path)
        for command in ([programs / "vae-train"], [sys.executable, REPOSITORY / "train.py"])
    ]
    assert yaml.safe_load(shown[0]) == yaml.safe_load(shown[1])


def test_bash_completes_the_console_script(programs: Path, tmp_path: Path) -> None:
    line = "vae-train kl=keras"
    script = f"""
        PATH={programs}:$PATH
        eval "$(vae-train --shell-completion install=bash)"
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({line}) COMP_CWORD=1
        hydra_bash_completion
        echo "${{COMPREPLY[@]}}"
    """
    assert succeed("bash", "-c", script, cwd=tmp_path).split() == ["kl=keras_loss", "kl=keras_loss_calibrated"]


def test_tensorboard_finds_the_tab(programs: Path, tmp_path: Path) -> None:
    program = (
        "import inspect, tensorboard.default\n"
        "plugins = tensorboard.default.get_dynamic_plugins()\n"
        "print(*{inspect.getfile(plugin) for plugin in plugins if plugin.plugin_name == 'vae_comparison'})"
    )
    (path,) = succeed(programs / "python", "-c", program, cwd=tmp_path).split()
    assert Path(path).is_relative_to(programs.parent)
