"""Who the workers are, and that they meet, with no TensorFlow."""

import json
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import free_addresses
from vae.distributed.cluster import Cluster, check_multi_worker, is_chief, meet, tf_config_cluster
from vae.errors import UserError

WORKERS = ["a:1", "b:2"]


def environment(cluster: Any = None, kind: Any = "worker", index: Any = 0) -> dict[str, str]:
    config = {"cluster": {"worker": WORKERS} if cluster is None else cluster, "task": {"type": kind, "index": index}}
    return {"TF_CONFIG": json.dumps(config)}


def test_the_chief_is_the_first() -> None:
    assert tf_config_cluster(environment(index=1)) == Cluster(("a:1", "b:2"), 1)
    with_chief = {"chief": ["c:3"], "worker": WORKERS}
    assert tf_config_cluster(environment(with_chief, "worker", 0)) == Cluster(("c:3", "a:1", "b:2"), 1)
    assert tf_config_cluster(environment(with_chief, "chief", 0)) == Cluster(("c:3", "a:1", "b:2"), 0)
    assert is_chief("multi_worker", environment())
    assert not is_chief("multi_worker", environment(index=1))
    assert is_chief("single", environment(index=1))
    assert not is_chief("multi_worker", {"SLURM_PROCID": "3"})


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, "there is no TF_CONFIG"),
        ({"SLURM_JOB_ID": "7"}, "start it by srun"),
        ({"TF_CONFIG": "{"}, "is not JSON"),
        ({"TF_CONFIG": "[]"}, 'must have a "cluster" and a "task"'),
        ({"TF_CONFIG": "{}"}, 'must have a "cluster" and a "task"'),
        (environment({"worker": []}), "at least one worker"),
        (environment({"worker": "a:1"}), "must have lists"),
        (environment({"ps": ["a:1"]}), "must have lists"),
        (environment({"worker": ["a"]}), "a is no host:port"),
        (environment({"worker": ["a:99999"]}), "a:99999 is no host:port"),
        (environment({"worker": ["a:1", "a:1"]}), "the same host:port"),
        (environment(kind="evaluator"), 'task.type is "evaluator"'),
        (environment(index=2), "task.index is 2; the cluster's 2 of type worker are 0 to 1"),
        (environment(index="0"), 'task.index is "0"'),
        (environment(index=None), "task.index is null"),
    ],
)
def test_a_wrong_environment_is_one_line(variables: dict[str, str], told: str) -> None:
    with pytest.raises(UserError) as caught:
        check_multi_worker(variables)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def clusters(count: int) -> list[Cluster]:
    addresses = tuple(free_addresses(count))
    return [Cluster(addresses, index) for index in range(count)]


def meetings(arguments: list[tuple[float, Cluster, dict[str, Any]]], patience: float) -> list[Future[None]]:
    def late(seconds: float, cluster: Cluster, facts: dict[str, Any]) -> None:
        time.sleep(seconds)
        meet(cluster, facts, patience)

    with ThreadPoolExecutor() as pool:
        return [pool.submit(late, *each) for each in arguments]


def test_workers_started_apart_meet() -> None:
    futures = meetings([(0.5 * cluster.index, cluster, {}) for cluster in clusters(3)], patience=10)
    assert [future.exception() for future in futures] == [None, None, None]
    meet(clusters(1)[0], {})


def test_nobody_goes_on_without_everybody() -> None:
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


def test_what_listens_elsewhere_is_no_worker() -> None:
    first, second = clusters(2)
    with socket.create_server(("127.0.0.1", first.port)), pytest.raises(UserError, match="cannot listen on its port"):
        meet(first, {}, patience=1)
    with socket.create_server(("127.0.0.1", second.port)), pytest.raises(UserError, match="waited 1 s for worker 1"):
        meet(first, {}, patience=1)
