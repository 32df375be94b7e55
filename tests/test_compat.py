"""Workarounds for other libraries: each still works, and is still needed."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import tensorflow_datasets as tfds

from tests.conftest import REPOSITORY, free_addresses, inherited_environment
from vae.compat import few_download_retries


def run_program(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**inherited_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_tensorflow_is_loaded_without_its_messages() -> None:
    ended = run_program("from vae.compat import load_tensorflow; load_tensorflow(); import tensorflow; print('loaded')")
    assert ended.stdout.split()[-1] == "loaded"
    assert ended.stderr == ""


def test_tensorflow_alone_prints_at_every_log_level() -> None:
    """If this fails, `load_tensorflow` need not capture stderr any more."""
    assert run_program("import tensorflow", TF_CPP_MIN_LOG_LEVEL="3").stderr != ""


def test_the_reason_of_a_failing_import_is_shown(no_tensorflow: str) -> None:
    ended = run_program("from vae.compat import load_tensorflow; load_tensorflow()", PYTHONPATH=no_tensorflow)
    assert ended.returncode == 1
    assert "TensorFlow was loaded" in ended.stderr


SIGTERM_AFTER_STRATEGY = """
import contextlib, os, signal, time
from vae.compat import keeping_sigterm_handler, load_tensorflow
load_tensorflow()
import tensorflow as tf
received = []
signal.signal(signal.SIGTERM, lambda *_: received.append(True))
with keeping_sigterm_handler() if KEEP else contextlib.nullcontext():
    tf.distribute.MultiWorkerMirroredStrategy()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.5)
print("received" if received else "lost")
os._exit(0)
"""


@pytest.mark.parametrize(("keep", "outcome"), [(True, "received"), (False, "lost")])
def test_a_multi_worker_strategy_takes_sigterm_unless_its_handler_is_restored(keep: bool, outcome: str) -> None:
    """If "lost" fails, `keeping_sigterm_handler` is not needed any more."""
    cluster = {"cluster": {"worker": free_addresses(1)}, "task": {"type": "worker", "index": 0}}
    ended = run_program(f"KEEP = {keep}\n{SIGTERM_AFTER_STRATEGY}", TF_CONFIG=json.dumps(cluster))
    assert ended.stdout.split()[-1:] == [outcome], ended.stderr


def test_downloads_are_retried_twice_and_the_settings_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This fails if TFDS no longer reads its number of retries at each download."""
    retries = []

    def get(session: requests.Session, url: str, **_: object) -> None:
        retries.append(session.get_adapter(url).max_retries.total)
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "get", get)

    def download() -> None:
        manager = tfds.download.DownloadManager(download_dir=tmp_path)
        with pytest.raises(requests.ConnectionError):
            manager.download("https://localhost/images.zip")

    level = logging.getLogger("urllib3").level
    download()
    with few_download_retries():
        download()
        assert logging.getLogger("urllib3").level == logging.ERROR
    download()
    assert retries == [10, 2, 10]
    assert logging.getLogger("urllib3").level == level
