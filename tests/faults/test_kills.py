"""The beginning of the campaign: commands killed at moments that a seed chooses."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.campaign import Command, Torment, commands

pytestmark = pytest.mark.thorough  # every kill costs a start


@pytest.fixture(scope="module")
def killed() -> Iterator[dict[str, Command]]:
    with tempfile.TemporaryDirectory() as folder, commands(Path(folder)) as named:
        yield named


@pytest.mark.parametrize(("name", "kills"), [("comparison", 2), ("sweep", 2)])
def test_a_killed_command_loses_nothing(name: str, kills: int, killed: dict[str, Command], tmp_path: Path) -> None:
    torment = Torment(name, killed[name], tmp_path, seed=0)
    torment.kill(kills)
    assert not torment.found
