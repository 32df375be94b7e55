"""The command `python -m vae.weigh`: its output, its status, its time, and one line for bad input."""

import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import REPOSITORY, Outcome, inherited_environment
from tests.weigh.weighing import LOSSES
from vae.weigh.__main__ import main

SECONDS = 10.0  # of processor time, which other work on the machine does not lengthen


def command(folder: Path, *arguments: str, path: str = "") -> Outcome:
    """`python -m vae.weigh` as a user runs it in a folder."""
    ended = subprocess.run(
        [sys.executable, "-m", "vae.weigh", *arguments],
        cwd=folder,
        env={**inherited_environment(), "PYTHONPATH": os.pathsep.join([path, str(REPOSITORY)]), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def test_a_loss_in_numpy_needs_no_tensorflow(no_tensorflow: str) -> None:
    ended = command(LOSSES, "numpy_losses.py:mean_over_latents", "--latents=32", path=no_tensorflow)
    assert (ended.status, ended.stderr) == (0, "")
    assert "effective beta  0.03125 = 1 / 32 latents" in ended.stdout
    assert "weight 0.03125 = 1 / 32: mean over the batch and latents" in ended.stdout
    assert "for beta 1      multiply the KL by 32" in ended.stdout
    line = "np.mean(0.5 * (mu ** 2 + np.exp(log_var) - 1 - log_var), 0).sum()"
    assert ended.stdout.endswith(f"{line}\n")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("target", "module", "beta"),
    [
        ("torch_losses.py:pytorch_vae", "torch", "0.000125 x 784 pixels at sigma = 1, or 1 at sigma = 0.313"),
        ("jax_losses.py:flax_example", "jax", "1"),
        ("keras_losses.py:keras_example", "tensorflow", "1"),
        ("numpy_losses.py:canonical", "numpy", "1"),
    ],
)
def test_it_takes_less_than_ten_seconds(target: str, module: str, beta: str) -> None:
    pytest.importorskip(module, reason=f"{module} is not installed")
    before = os.times()
    ended = command(LOSSES, target)
    after = os.times()
    assert (ended.status, ended.stderr) == (0, "")
    assert re.search(rf"^effective beta  .*{re.escape(beta)} *$", ended.stdout, re.MULTILINE)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < SECONDS


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([f"{LOSSES}/{arguments[0]}", *arguments[1:]]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    return re.sub(r"\s+", " ", printed.out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("numpy_losses.py:weighted", "beta=0.5"), "effective beta 0.5 "),
        (("numpy_losses.py:weighted", "beta=2", "--batch", "3"), "images (3, 28, 28, 1), mu (3, 16)"),
        (("numpy_losses.py:divided_by_pixels",), "effective beta 1 "),
        (
            ("numpy_losses.py:divided_by_pixels",),
            "mean over the batch, sum over latents, divided by height, width and channels",
        ),
        (("numpy_losses.py:sum_over_batch",), "effective beta 6 = 6 batch "),
        (("numpy_losses.py:sum_over_batch",), "weight 6: sum over the batch and latents"),
        (("numpy_losses.py:gaussian",), "effective beta 0.01 at sigma = 1, or 1 at sigma = 0.1 "),
        (("numpy_losses.py:laplace",), "effective beta 0.2 at b = 1 "),
        (("numpy_losses.py:wrong_sign",), "effective beta -1 "),
        (("numpy_losses.py:reverse",), "effective beta none: no single number describes this loss"),
        (("numpy_losses.py:kl_alone",), "effective beta unknown without a reconstruction"),
        (("numpy_losses.py:canonical",), "for beta 1 nothing to change"),
        (("numpy_losses.py:spatial", "--latents=4,7,7", "--shape=32,32,3"), "0.0015"),
        (("numpy_losses.py:several", "--output=sum"), "the sum of 0, 1"),
        (("numpy_losses.py:per_example",), "the mean of what it returns, of shape (6,)"),
    ],
)
def test_the_report_says(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str) -> None:
    assert words in shown(capsys, *arguments)


MY_CODE = """
import numpy as np

def loss(x, y, mu, log_var):
    return np.mean((x - y) ** 2) + np.mean(mu ** 2 + np.exp(log_var) - 1 - log_var)

class Needs:
    def __init__(self, weight):
        self.weight = weight

class Raises:
    def __call__(self, x, y, mu, log_var):
        raise RuntimeError("first line" + chr(10) + "second line")

number = 3
"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: FILE.py:LOSS; --help shows the usage"),
        (["my_code.py"], "my_code.py: give the loss with its file or module, as my_code.py:loss"),
        (["nowhere.py:loss"], "nowhere.py:loss: there is no file nowhere.py"),
        ([f"{300 * 'x'}.py:loss"], f"there is no file {300 * 'x'}.py"),
        (["nowhere:loss"], "nowhere:loss: there is no module nowhere, neither in this folder nor installed"),
        (["my_code.py:los"], "my_code.py:los: there is no los in my_code.py; there are loss, Needs, Raises"),
        (["my_code.py:number"], "my_code.py:number: number is of type int, not a function"),
        (["my_code.py:Needs"], "required positional argument: 'weight'); name a function, or an instance"),
        (["my_broken.py:loss"], "my_broken.py cannot be imported: ZeroDivisionError: division by zero"),
        (["my_exit.py:loss"], "my_exit.py cannot be imported: SystemExit: 3"),
        (
            ["my_syntax.py:loss"],
            "my_syntax.py cannot be imported: SyntaxError: '(' was never closed (my_syntax.py, line 1)",
        ),
        (
            ["my_code.py:Raises", "--shape=8,8,1"],
            "my_code.py:Raises: cannot be called: RuntimeError: first line (tried NumPy float64 (6, 8, 8, 1), NumPy "
            "float32 (6, 8, 8, 1)",
        ),
        (["my_code.py:loss", "--shape=28,a"], "argument --shape: 'a' is not a size: give whole numbers above 0, as"),
        (["my_code.py:loss", "--batch=0"], "argument --batch: '0' is not a size"),
        (["my_code.py:loss", "beta"], "beta: give an argument of the loss as NAME=VALUE"),
        (["my_code.py:loss", "beta=1"], "it has no parameter beta; its parameters are x, y, mu, log_var"),
        (["my_code.py:loss", "--mu=mean"], "it has no parameter mean; its parameters are x, y, mu, log_var"),
        (["my_code.py:loss", "--nonsense"], "unrecognized arguments: --nonsense; --help shows the usage"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "my_code.py").write_text(MY_CODE)
    (tmp_path / "my_broken.py").write_text("1 / 0")
    (tmp_path / "my_exit.py").write_text("raise SystemExit(3)")
    (tmp_path / "my_syntax.py").write_text("print(")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("vae.weigh: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_file_hides_no_module_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "random.py").write_text(MY_CODE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = sys.modules["random"]
    assert main([f"{tmp_path / 'random.py'}:loss"]) == 0
    assert sys.modules["random"] is before


def test_ctrl_c_ends_it_quietly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("vae.weigh.__main__.weigh", mock.Mock(side_effect=KeyboardInterrupt))
    assert main([f"{LOSSES}/numpy_losses.py:flat"]) == 130
    assert capsys.readouterr() == ("", "")
