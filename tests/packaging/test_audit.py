"""The audit tells a known vulnerability from a service that cannot be reached. Nothing here needs a network."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audit
import pytest
import requests
from pip_audit._service import PyPIService
from releases import releases, version_of

from tests.conftest import REPOSITORY

HOLE = {
    "id": "PYSEC-0000-1",
    "aliases": ["CVE-0000-0001"],
    "fixed_in": ["99.0"],
    "summary": "Reads what it should not.",
    "published": "2026-01-01T00:00:00Z",
}
TARGETS = sorted({f"/{release.name}/{version_of(release)}/json" for release in releases()})
Answer = Callable[[str], tuple[int, str]]


def answer(vulnerabilities: list[Any]) -> tuple[int, str]:
    return 200, json.dumps({"vulnerabilities": vulnerabilities})


class Wire(requests.adapters.BaseAdapter):
    """Answers in place of the network, in the words of the Python Package Index."""

    def __init__(self, respond: Answer) -> None:
        super().__init__()
        self._respond = respond

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        assert request.url is not None
        response.status_code, text = self._respond(request.url)
        response._content, response.url, response.request = text.encode(), request.url, request
        return response

    def close(self) -> None:
        pass


def outcome(respond: Answer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Audit with a service that answers so; return the exit status and the lines."""
    service = PyPIService(cache_dir=tmp_path)
    service.session.mount("https://", Wire(respond))
    status = audit.main(service)
    return status, capsys.readouterr().out.splitlines()


def test_no_vulnerability(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[str] = []
    status, lines = outcome(lambda url: (asked.append(url), answer([]))[1], tmp_path, capsys)
    assert (status, lines) == (0, [f"known vulnerabilities: 0 in {len(TARGETS)} releases"])
    assert sorted("/" + url.split("/pypi/")[1] for url in asked) == TARGETS


def test_one_vulnerability_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, lines = outcome(lambda url: answer([HOLE] if "/keras/" in url else []), tmp_path, capsys)
    assert status == 1
    assert lines[0].startswith("VULNERABLE: keras 3.")
    assert lines[0].endswith(": PYSEC-0000-1, fixed in 99.0: Reads what it should not.")
    assert lines[1:] == [f"known vulnerabilities: 1 in {len(TARGETS)} releases"]


def failing(error: Exception) -> Answer:
    def respond(url: str) -> tuple[int, str]:
        raise error

    return respond


@pytest.mark.parametrize(
    "respond",
    [
        failing(requests.ConnectionError("no route")),
        failing(requests.ConnectTimeout("no answer")),
        failing(requests.ReadTimeout("no answer")),
        lambda url: (503, "busy"),
        lambda url: (404, "not found"),
        lambda url: (200, "<html>log in</html>"),
    ],
    ids=[
        "no connection",
        "no connection in time",
        "no answer in time",
        "unavailable",
        "knows nothing",
        "a log-in page",
    ],
)
def test_a_service_that_cannot_be_reached_is_said_loudly(
    respond: Answer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, lines = outcome(respond, tmp_path, capsys)
    assert status == 0
    assert lines[0] == "known vulnerabilities: 0 in 0 releases"
    assert lines[1].startswith(f"!!! NOT AUDITED: {len(TARGETS)} of {len(TARGETS)} releases (")
    assert len(lines) == 2


def test_what_was_found_counts_if_the_service_fails_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def respond(url: str) -> tuple[int, str]:
        return answer([HOLE]) if url.endswith(TARGETS[0]) else (503, "busy")

    status, lines = outcome(respond, tmp_path, capsys)
    assert status == 1
    assert lines[-1].startswith(f"!!! NOT AUDITED: {len(TARGETS) - 1} of {len(TARGETS)} releases (")


def test_a_release_that_the_service_does_not_know_ends_no_audit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def respond(url: str) -> tuple[int, str]:
        return (404, "") if url.endswith(TARGETS[5]) else answer([HOLE] if url.endswith(TARGETS[-1]) else [])

    status, lines = outcome(respond, tmp_path, capsys)
    assert status == 1
    assert lines[-1].startswith(f"!!! NOT AUDITED: 1 of {len(TARGETS)} releases (the service does not know ")


@pytest.mark.thorough
def test_the_program_without_a_network() -> None:
    """Behind a proxy at an address where nobody listens."""
    ended = subprocess.run(
        [sys.executable, str(REPOSITORY / ".ci" / "audit.py")],
        env={"HTTPS_PROXY": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "!!! NOT AUDITED: " in ended.stdout
