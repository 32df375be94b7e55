"""Folders that the user may only read."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, inherited_environment
from tests.runs.test_loading import OLD_RUNS

pytestmark = pytest.mark.thorough  # a second for each command

BOUND_BY_PERMISSIONS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
COMMANDS = {
    "evaluation": ([str(REPOSITORY / "evaluate.py"), "run=run"], "evaluate.py: run: "),
    "resume": ([str(REPOSITORY / "train.py"), "resume=run", "trainer.epochs=4"], "train.py: resume=run: "),
    "new run": ([str(REPOSITORY / "train.py"), "hydra.run.dir=run/new"], "train.py: hydra.run.dir=run/new: "),
    "sweep": ([str(REPOSITORY / "train.py"), "-m", "seed=0,1", "hydra.sweep.dir=run/new"], "train.py: hydra.sweep.dir"),
    "comparison": (["-m", "vae.compare", "run", "--out", "run/report"], "vae.compare: --out=run/report: "),
}


def run_as_a_user(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python without the capabilities by which permissions do not bind root."""
    return subprocess.run(
        [*BOUND_BY_PERMISSIONS, sys.executable, *arguments],
        cwd=cwd,
        env={**inherited_environment(), "PYTHONPATH": str(REPOSITORY), "HOME": str(cwd), "MPLCONFIGDIR": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that everyone may enter, with a run that nobody may write to."""
    if BOUND_BY_PERMISSIONS and not shutil.which("setpriv"):
        pytest.skip("needs setpriv, because permissions do not bind root")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        shutil.copytree(OLD_RUNS / "keras_loss", directory / "run")
        for path in (directory / "run").rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        (directory / "run").chmod(0o555)
        yield directory
        for path in (directory / "run", *(directory / "run").rglob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize(("arguments", "start"), COMMANDS.values(), ids=COMMANDS)
def test_a_folder_that_cannot_be_written_is_one_line(arguments: list[str], start: str, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    ended = run_as_a_user(*arguments, cwd=folder)
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith(start)
    assert "Permission denied" in line
    assert sorted(folder.rglob("*")) == before
