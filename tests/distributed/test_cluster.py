"""The cluster as the environment describes it. No TensorFlow."""

import json
from typing import Any

import pytest

from vae.distributed.cluster import Cluster, check_multi_worker, is_chief, tf_config_cluster
from vae.errors import UserError

WORKERS = ["a:1", "b:2"]


def environment(cluster: Any = None, kind: Any = "worker", index: Any = 0) -> dict[str, str]:
    config = {"cluster": {"worker": WORKERS} if cluster is None else cluster, "task": {"type": kind, "index": index}}
    return {"TF_CONFIG": json.dumps(config)}


def test_the_first_worker_is_the_chief() -> None:
    assert tf_config_cluster(environment(index=1)) == Cluster(("a:1", "b:2"), 1)
    with_chief = {"chief": ["c:3"], "worker": WORKERS}
    assert tf_config_cluster(environment(with_chief, "worker", 0)) == Cluster(("c:3", "a:1", "b:2"), 1)
    assert tf_config_cluster(environment(with_chief, "chief", 0)) == Cluster(("c:3", "a:1", "b:2"), 0)
    assert is_chief("multi_worker", environment())
    assert not is_chief("multi_worker", environment(index=1))
    assert is_chief("single", environment(index=1))
    assert not is_chief("multi_worker", {"SLURM_PROCID": "3"})


@pytest.mark.parametrize(
    ("variables", "key_fact"),
    [
        ({}, "there is no TF_CONFIG"),
        ({"SLURM_JOB_ID": "7"}, "start it by srun"),
        ({"TF_CONFIG": "{"}, "is not JSON"),
        ({"TF_CONFIG": "[]"}, 'must have a "cluster" and a "task"'),
        ({"TF_CONFIG": "{}"}, 'must have a "cluster" and a "task"'),
        (environment({"worker": []}), "at least one worker"),
        (environment({"worker": "a:1"}), 'a list named "worker"'),
        (environment({"ps": ["a:1"]}), 'a list named "worker"'),
        (environment({"worker": ["a"]}), "a is not host:port"),
        (environment({"worker": ["a:99999"]}), "a:99999 is not host:port"),
        (environment({"worker": ["a:1", "a:1"]}), "the same host:port"),
        (environment(kind="evaluator"), 'task.type is "evaluator"'),
        (environment(index=2), "task.index is 2; the indices of type worker are 0 to 1"),
        (environment(index="0"), 'task.index is "0"'),
        (environment(index=None), "task.index is null"),
    ],
)
def test_a_wrong_environment_is_reported_in_one_line(variables: dict[str, str], key_fact: str) -> None:
    with pytest.raises(UserError) as caught:
        check_multi_worker(variables)
    assert key_fact in str(caught.value)
    assert "\n" not in str(caught.value)
