"""A browser, and a TensorBoard to look at in it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import inherited_environment

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader"]  # as root in a container; WebGL, for the projector, without GPU
#: A name that would be a script on a careless page
SCRIPT = "<script>window.hacked = true</script><img src=x onerror='window.hacked = true'>"

Shoot = Callable[..., None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Playwright's own Chromium, or that of the system; the variable CHROMIUM names another.

    It ends with the module, because a process can have one Playwright at a time, and two folders import the fixture.
    """
    reason = "needs the extra 'test': pip install '.[test]'"
    sync_api = pytest.importorskip("playwright.sync_api", reason=reason)
    with sync_api.sync_playwright() as playwright:
        own = Path(playwright.chromium.executable_path)
        installed = next(filter(None, map(shutil.which, CHROMIUM)), None)
        chosen = os.environ.get("CHROMIUM") or (str(own) if own.exists() else installed)
        if chosen is None:
            pytest.skip("needs Chromium: playwright install chromium, or apt-get install chromium")
        started = playwright.chromium.launch(executable_path=chosen, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def screenshots(request: pytest.FixtureRequest) -> Path | None:
    folder = request.config.getoption("--screenshots")
    return Path(folder) if folder else None


@pytest.fixture
def shoot(screenshots: Path | None) -> Shoot:
    """A function that photographs a page or an element, where pictures are wanted."""

    def photograph(subject: Any, name: str, **options: Any) -> None:
        if screenshots:
            subject.screenshot(path=screenshots / f"{name}.png", **options)

    return photograph


@contextlib.contextmanager
def served(folder: Path, is_ready: Callable[[str], bool]) -> Iterator[str]:
    """Run a TensorBoard over a folder, and yield its address once it is ready."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder.name, "--host", "127.0.0.1", "--port", "0"]
    server = subprocess.Popen(
        command, cwd=folder.parent, stderr=subprocess.PIPE, text=True, env=inherited_environment()
    )
    assert server.stderr
    try:
        address = next(found[0] for line in server.stderr if (found := re.search(r"http://\S+?:\d+/", line)))
        deadline = time.monotonic() + 60
        while not is_ready(address):
            assert time.monotonic() < deadline, "TensorBoard did not read the runs"
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.communicate()


def fetched(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


def is_active(address: str, plugin: str) -> bool:
    return bool(fetched(f"{address}data/plugins_listing")[plugin]["enabled"])
