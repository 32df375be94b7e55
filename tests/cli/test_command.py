"""The command line called in this process, which it leaves as it was."""

import contextlib
import os
import signal
import sys
import tomllib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from tests.conftest import REPOSITORY, run_script
from vae import cli
from vae.compare.__main__ import main as compare
from vae.scripts import evaluate, train
from vae.weigh.__main__ import main as weigh


def state() -> list[object]:
    """Everything that Hydra and the scripts change in a process."""
    hydra, config = GlobalHydra.instance().hydra, HydraConfig.instance().cfg
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    return [hydra, config, list(sys.argv), handlers, warnings.formatwarning, dict(os.environ), Path.cwd()]


@pytest.mark.parametrize("arguments", [["--cfg", "job"], ["nonsense=1"], ["--help"], ["kl.direction=sideways"]])
def test_the_process_is_left_as_it_was(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = state()
    cli.call(train.train, arguments)
    assert state() == before
    assert not list(tmp_path.iterdir())


def test_the_status_and_the_line_of_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.call(train.train, ["--cfg", "job"]) == 0
    capsys.readouterr()
    assert cli.call(train.train, ["trainer.epochs=0"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("train.py: trainer.epochs=0: ")
    assert cli.call(evaluate.evaluate, []) == 2
    assert capsys.readouterr().err.startswith("evaluate.py: run: must be given")


@pytest.mark.parametrize(
    "command", [partial(cli.call, train.train), partial(cli.call, evaluate.evaluate), compare, weigh]
)
def test_the_version_is_that_of_the_package(
    command: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Hydra would print its own."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    with contextlib.suppress(SystemExit):
        command(["--version"])
    assert capsys.readouterr().out == f"vae {project['version']}\n"


def test_an_error_that_is_its_own_cause_ends_as_any_other(tmp_path: Path) -> None:
    """OmegaConf makes one with this variable, and under a debugger. A process of its own can be ended if it hangs."""
    wrong = "kl={a:1}"
    assert run_script("train.py", wrong, cwd=tmp_path, OC_CAUSE="1") == run_script("train.py", wrong, cwd=tmp_path)


def test_the_composed_configuration_shows_every_option_of_a_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.call(train.train, ["kl=keras_loss", "kl.points=8", "--cfg", "job", "--package", "kl"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "# @package kl",
        "_target_: vae.kl.KerasLoss",
        "direction: forward",
        "support: quadrature",
        "points: 8",
        "reduction: sum_over_batch_size",
        "calibrate: false",
    ]


def test_help_lists_the_options_of_a_user_s_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.call(train.train, ["kl._target_=tests.config.custom.Power", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    place = lines.index("kl=tests.config.custom.Power: A power of the KL.")
    assert lines[place + 1].split() == ["kl.alpha=NUMBER", "the", "exponent.", "(default", "1.0)"]


def test_help_lists_the_options_of_the_classes_with_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.call(train.train, ["--help"]) == 0
    text = capsys.readouterr().out
    for words in (
        "kl.direction=forward|reverse|symmetric",
        "kl.reduction=sum_over_batch_size|mean|mean_with_sample_weight|sum|none",
        "model.hidden=[N,...]",
        "trainer.engine=auto|compiled|keras",
        "beta.value=NUMBER",
        "resume=TEXT",
        "data.binarization=none|threshold|dynamic",
    ):
        assert words in text


def test_help_lists_the_groups_of_the_folder_and_of_config_dir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "kl").mkdir(parents=True)
    (tmp_path / "mine" / "kl" / "half.yaml").write_text("_target_: vae.kl.Analytic\n")
    assert cli.call(train.train, ["--config-dir", "mine", "--help"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kl: ")]
    files = Path(cli.CONFIGS, "kl").glob("*.yaml")
    assert line == f"kl: {', '.join(sorted([*(path.stem for path in files), 'half']))}"


def test_help_needs_no_valid_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.call(train.train, ["nonsense=1", "-h"]) == 0
    assert "images_of" not in capsys.readouterr().out.partition("== Options")[0]
