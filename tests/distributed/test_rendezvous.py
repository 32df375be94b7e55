"""The meeting of the workers. No TensorFlow."""

import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import free_addresses
from vae.distributed.cluster import Cluster
from vae.distributed.rendezvous import meet
from vae.errors import UserError


def clusters(count: int) -> list[Cluster]:
    addresses = tuple(free_addresses(count))
    return [Cluster(addresses, index) for index in range(count)]


def meetings(arguments: list[tuple[float, Cluster, dict[str, Any]]], patience: float) -> list[Future[None]]:
    def meet_later(seconds: float, cluster: Cluster, facts: dict[str, Any]) -> None:
        time.sleep(seconds)
        meet(cluster, facts, patience)

    with ThreadPoolExecutor() as pool:
        return [pool.submit(meet_later, *each) for each in arguments]


def test_workers_that_start_at_different_times_meet() -> None:
    futures = meetings([(0.5 * cluster.index, cluster, {}) for cluster in clusters(3)], patience=10)
    assert [future.exception() for future in futures] == [None, None, None]
    meet(clusters(1)[0], {})


def test_every_worker_reports_the_missing_one() -> None:
    first, second, _ = clusters(3)
    for index, future in enumerate(meetings([(0, first, {}), (0, second, {})], patience=1)):
        with pytest.raises(UserError, match=rf"^worker {index}: waited 1 s for .*worker 2 .*, which does not answer"):
            future.result()


def test_workers_of_different_runs_do_not_meet() -> None:
    first, second = clusters(2)
    futures = meetings([(0, first, {"seed": 0}), (0, second, {"seed": 1})], patience=1)
    errors = [str(future.exception()) for future in futures]
    assert any("was started with another seed" in error for error in errors)
    assert all(isinstance(future.exception(), UserError) for future in futures)


def test_a_port_that_another_program_holds() -> None:
    first, second = clusters(2)
    with socket.create_server(("127.0.0.1", first.port)), pytest.raises(UserError, match="cannot listen on its port"):
        meet(first, {}, patience=1)
    with socket.create_server(("127.0.0.1", second.port)), pytest.raises(UserError, match="waited 1 s for worker 1"):
        meet(first, {}, patience=1)
