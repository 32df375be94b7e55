"""The command `python -m vae.kl.check`: its output, its status, and one line for bad input."""

import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import REPOSITORY, Outcome, inherited_environment
from vae.conformance.command import main


def command(folder: Path, *arguments: str) -> Outcome:
    """`python -m vae.kl.check` as a user runs it in a folder."""
    ended = subprocess.run(
        [sys.executable, "-m", "vae.kl.check", *arguments],
        cwd=folder,
        env={**inherited_environment(), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


MY_MODULE = """
from vae.kl import Analytic

class Averages(Analytic):
    def reduce(self, values, sample_weight=None):
        return super().reduce(values, sample_weight) / values.shape[1]

class Refusing(Analytic):
    def __init__(self):
        1 / 0

something_else = 1
"""


@pytest.mark.thorough
def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(MY_MODULE)
    passes = command(tmp_path, "vae.kl.Analytic", "direction=reverse")
    assert passes.status == 0
    assert "27 pass, 0 FAIL, 4 skipped" in passes.stdout
    fails = command(tmp_path, "my_module.Averages")
    assert fails.status == 1
    assert (
        "FAIL: forward, D[q||p]: it is 1/5 of the exact value for 5 latent variables: does it average" in fails.stdout
    )
    refused = command(tmp_path, "nowhere.MyKL")
    assert (refused.status, refused.stdout) == (2, "")
    assert refused.stderr.splitlines()[-1] == (
        "vae.kl.check: nowhere.MyKL: there is no module nowhere, neither in this folder nor installed"
    )
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: MODULE.CLASS; --help shows the usage"),
        (["Averages"], "Averages: give the class with its module, as my_module.MyKL"),
        (["nowhere.MyKL"], "nowhere.MyKL: there is no module nowhere, neither in this folder nor installed"),
        (["my_module.Sums"], "my_module.Sums: there is no Sums in my_module"),
        (["my_module.something_else"], "my_module.something_else: must be a subclass of vae.kl.KLRegularizer"),
        (["my_module.Refusing"], "my_module.Refusing: its constructor refuses: ZeroDivisionError: division by zero"),
        (
            ["tests.config.mistaken.WithoutKey"],
            "(self, posterior, prior, z, *, key, sample_weight=None): got an unexpected keyword argument 'key'",
        ),
        (["my_broken.MyKL"], "my_broken.MyKL: my_broken cannot be imported: ZeroDivisionError: division by zero"),
        (["my_module.Averages", "reverse"], "reverse: give an argument of the constructor as NAME=VALUE"),
        (
            ["vae.kl.Analytic", "direction=up"],
            "vae.kl.Analytic: direction=up: should be 'forward', 'reverse' or 'symmetric'",
        ),
        (["vae.kl.MonteCarlo", "samples=0"], "vae.kl.MonteCarlo: samples=0: should be greater than 0"),
        (["vae.kl.KerasLoss", "points=1"], "points=1: should be greater than or equal to 2"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "my_module.py").write_text(MY_MODULE)
    (tmp_path / "my_broken.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    monkeypatch.setattr(
        "vae.conformance.command.load_tensorflow", lambda: None
    )  # it is loaded, and its threads are started
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("vae.kl.check: ")
    assert shown.err.endswith(f"{message}\n")
    assert shown.err.count("\n") == 1


def test_ctrl_c_ends_it_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("vae.conformance.command._build", mock.Mock(side_effect=KeyboardInterrupt))
    assert main(["vae.kl.Analytic"]) == 130
    assert "Traceback" not in "".join(capsys.readouterr())
