"""The cache of compiled programs."""

import os
import time
from pathlib import Path

import pytest

from tests.conftest import run_script
from tests.reading import history_of
from vae import program_cache
from vae.program_cache import FLAG, use_program_cache


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this machine's programs, below a cache folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    use_program_cache()
    return Path(os.environ["TF_XLA_FLAGS"].partition("=")[2])


def test_another_number_of_threads_has_another_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    use_program_cache(threads=64)
    first, second = os.environ["TF_XLA_FLAGS"].split()
    assert first == "--tf_xla_clustering_debug"
    assert second.startswith(f"{FLAG}={cache.parent}/")
    assert second != f"{FLAG}={cache}"


def test_a_folder_of_the_user_s_own_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_XLA_FLAGS", f"{FLAG}=mine")
    use_program_cache()
    assert os.environ["TF_XLA_FLAGS"] == f"{FLAG}=mine"


def test_without_a_folder_that_can_be_written_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    use_program_cache()
    assert os.environ["TF_XLA_FLAGS"] == ""


def test_old_programs_go_beyond_the_limit(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of the last day stays: a run may be reading it."""
    monkeypatch.setattr(program_cache, "LIMIT", 2)
    for days in range(5):
        path = cache / f"{days}.pb"
        path.write_bytes(b"")
        os.utime(path, times=(time.time() - days * 90_000,) * 2)
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    use_program_cache()
    assert sorted(path.name for path in cache.iterdir()) == ["0.pb", "1.pb"]


@pytest.mark.thorough  # four runs that compile
def test_a_run_from_the_cache_has_the_same_bits_and_survives_damage(tmp_path: Path) -> None:
    options = ["trainer.epochs=2", "data.take=256", "model.hidden=[16]", "audit=none"]

    def elbos(run: str, **environment: str) -> list[str]:
        ended = run_script("train.py", *options, f"hydra.run.dir={run}", cwd=tmp_path, **environment)
        assert ended.status == 0, ended.stderr
        return [row["validation/elbo"] + row["train/loss"] for row in history_of(tmp_path / run)]

    kept = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    compiled = elbos("compiled", TF_XLA_FLAGS=f"{FLAG}=")
    assert elbos("first", **kept) == compiled
    programs = list((tmp_path / "cache").rglob("*.pb"))
    assert programs
    written = {path: path.stat().st_mtime_ns for path in programs}
    assert elbos("second", **kept) == compiled
    assert {path: path.stat().st_mtime_ns for path in programs} == written  # read, and not compiled again
    for path in programs:
        path.write_bytes(path.read_bytes()[:-100])
    assert elbos("damaged", **kept) == compiled
