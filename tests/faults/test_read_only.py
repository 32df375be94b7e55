"""Folders that this user may only read, for a user who is not root."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, inherited_environment

pytestmark = pytest.mark.thorough  # a second for each command

NOBODY = 65_534
COMMANDS = {
    "evaluation": ([str(REPOSITORY / "evaluate.py"), "run=run"], "evaluate.py: run: "),
    "resume": ([str(REPOSITORY / "train.py"), "resume=run", "trainer.epochs=4"], "train.py: resume=run: "),
    "new run": ([str(REPOSITORY / "train.py"), "hydra.run.dir=run/new"], "train.py: hydra.run.dir=run/new: "),
    "sweep": ([str(REPOSITORY / "train.py"), "-m", "seed=0,1", "hydra.sweep.dir=run/new"], "train.py: hydra.sweep.dir"),
    "comparison": (["-m", "vae.compare", "run", "--out", "run/report"], "vae.compare: --out=run/report: "),
}


def run_as_a_user(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python as a user whom permissions bind, which they do not root."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**inherited_environment(), "PYTHONPATH": str(REPOSITORY), "HOME": str(cwd), "MPLCONFIGDIR": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
        user=NOBODY if os.getuid() == 0 else None,
    )


@pytest.fixture(scope="module")
def folder(trained_run: Path) -> Iterator[Path]:
    """A folder that everyone may enter, with a run that nobody may write to."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        shutil.copytree(trained_run, directory / "run")
        for path in (directory / "run").rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        (directory / "run").chmod(0o555)
        if run_as_a_user("-c", "import vae.cli", cwd=directory).returncode:
            pytest.skip("needs a Python and a checkout that user 65534 may read, or tests that do not run as root")
        yield directory
        for path in (directory / "run", *(directory / "run").rglob("*")):
            path.chmod(0o755)


@pytest.mark.parametrize(("arguments", "start"), COMMANDS.values(), ids=COMMANDS)
def test_a_folder_that_cannot_be_written_is_one_line(arguments: list[str], start: str, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    ended = run_as_a_user(*arguments, cwd=folder)
    assert ended.returncode == 1, ended.stderr
    (line,) = ended.stderr.splitlines()
    assert line.startswith(start)
    assert "Permission denied" in line
    assert sorted(folder.rglob("*")) == before
