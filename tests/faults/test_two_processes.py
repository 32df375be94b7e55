"""Two processes on one directory: the second is refused in one line that names the first, and changes nothing."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import run_script
from tests.runs.test_loading import OLD_RUNS
from vae.runs.lock import locked

pytestmark = pytest.mark.thorough  # a second for each command

COMMANDS = {
    "resume": ("train.py", ["resume=run", "trainer.epochs=4"], "run"),
    "evaluation": ("evaluate.py", ["run=run"], "run"),
    "new run": ("train.py", ["hydra.run.dir=new"], "new"),
    "sweep": ("train.py", ["-m", "seed=0,1", "hydra.sweep.dir=new"], "new"),
    "run of a sweep": ("train.py", ["-m", "seed=0", "hydra.sweep.dir=sweep"], "sweep/0-analytic-0"),
}


def contents(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("script", "arguments", "directory"), COMMANDS.values(), ids=COMMANDS)
def test_the_second_process_is_refused(
    script: str, arguments: list[str], directory: str, tmp_path: Path, no_tensorflow: str
) -> None:
    shutil.copytree(OLD_RUNS / "keras_loss", tmp_path / "run")
    (tmp_path / directory).mkdir(parents=True, exist_ok=True)
    with locked(tmp_path / directory):
        before = contents(tmp_path / directory)
        ended = run_script(script, *arguments, cwd=tmp_path, PYTHONPATH=no_tensorflow)
        assert contents(tmp_path / directory) == before
    assert ended.status == (1 if directory.startswith("sweep/") else 2)  # the sweep itself has begun
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{script}: ")
    assert f"{directory}: process {os.getpid()} on {os.uname().nodename} " in line
