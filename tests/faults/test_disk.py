"""Every file meets a full disk, and one that fails: nothing is lost, and one line says what happened."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, inherited_environment
from tests.faults.disk import COMPARISON, EVALUATION, OPENED, TRAINING

pytestmark = pytest.mark.thorough  # a run for every file

IN_A_FILE_SYSTEM_OF_ITS_OWN = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
MOUNT = "mount -t tmpfs -o size=30M tmpfs disk"
WRITERS = {**TRAINING, **EVALUATION, **COMPARISON}


@pytest.mark.parametrize(("kind", "reason"), [("full", "No space left on device"), ("EIO", "Input/output error")])
def test_a_disk_that_fails_at_a_file_loses_nothing(kind: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    command = [sys.executable, "-m", "tests.faults.disk", "disk", kind]
    if kind == "full":
        mounted = [*IN_A_FILE_SYSTEM_OF_ITS_OWN, MOUNT]
        if subprocess.run(mounted, cwd=tmp_path, capture_output=True, check=False).returncode:
            pytest.skip("needs unshare and user namespaces, to mount a small file system")
        command = [*IN_A_FILE_SYSTEM_OF_ITS_OWN, f"{MOUNT}; {shlex.join(command)}"]
    environment = {**inherited_environment(), "PYTHONPATH": str(REPOSITORY)}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told = {facts["name"]: facts for facts in map(json.loads, ended.stdout.splitlines())}
    assert [name for name in told if not name.startswith("after ")] == [
        name for name in WRITERS if kind == "full" or OPENED[name]
    ]
    for name, facts in told.items():
        assert not facts["faults"], facts
        if not name.startswith("after "):
            assert facts["reached"], name
            assert facts["status"] == 1, facts
            *before, line = facts["stderr"].splitlines()
            assert reason in line, facts
            assert not [text for text in before if not text.startswith("warning: ")], facts
