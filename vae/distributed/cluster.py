"""The workers of a distributed run, as TF_CONFIG or Slurm describes them. Needs no TensorFlow."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from vae.errors import UserError

EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
SLURM = (
    "SLURM_PROCID",
    "SLURM_LOCALID",
    "SLURMD_NODENAME",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_TASKS_PER_NODE",
)


@dataclass(frozen=True)
class Cluster:
    """The workers in TensorFlow's order, and the place of this process among them.

    Args:
        workers: "host:port" of each worker.
        index: index of this worker.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def port(self) -> int:
        """The port that this worker listens on."""
        return int(self.workers[self.index].rpartition(":")[2])


def has_slurm_step(environment: Mapping[str, str] = os.environ) -> bool:
    """Return True if Slurm's `srun` started this process."""
    return all(name in environment for name in SLURM)


def is_chief(strategy: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Return True if this process writes the run: of several workers only the first one, else every process."""
    if strategy != "multi_worker":
        return True
    if "TF_CONFIG" in environment:
        return tf_config_cluster(environment).index == 0
    return environment.get("SLURM_PROCID", "0") == "0"


def check_multi_worker(environment: Mapping[str, str] = os.environ) -> None:
    """Check the environment that trainer.strategy=multi_worker needs, before TensorFlow is loaded.

    Raises:
        UserError: if neither TF_CONFIG nor Slurm names the workers, or TF_CONFIG is wrong.
    """
    if "TF_CONFIG" in environment:
        tf_config_cluster(environment)
    elif not has_slurm_step(environment):
        if "SLURM_JOB_ID" in environment:
            reason = "this is a Slurm job, but not a step of it: start it by srun"
        else:
            reason = "there is no TF_CONFIG"
        raise UserError(
            f"trainer.strategy=multi_worker: {reason}; "
            f"it needs the environment of Slurm's srun or TF_CONFIG='{EXAMPLE}'"
        )


def tf_config_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """Return the cluster that TF_CONFIG describes. A task of type "chief" comes first.

    Raises:
        UserError: if TF_CONFIG is not as TensorFlow needs it.
    """
    try:
        config = json.loads(environment["TF_CONFIG"])
    except json.JSONDecodeError as error:
        raise UserError(f"TF_CONFIG: is not JSON ({error}); an example: {EXAMPLE}") from None
    cluster, task = (config.get(name) if isinstance(config, dict) else None for name in ("cluster", "task"))
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise UserError(f'TF_CONFIG: must have a "cluster" and a "task"; an example: {EXAMPLE}')
    jobs = {name: cluster.get(name, []) for name in ("chief", "worker")}
    if set(cluster) - set(jobs) or not all(isinstance(addresses, list) for addresses in jobs.values()):
        raise UserError(
            f'TF_CONFIG: "cluster" must have a list named "worker" (and may have "chief"); an example: {EXAMPLE}'
        )
    workers = [*jobs["chief"], *jobs["worker"]]
    if len(jobs["chief"]) > 1 or not workers:
        raise UserError(
            f'TF_CONFIG: "cluster" must name at least one worker and at most one chief; an example: {EXAMPLE}'
        )
    for address in workers:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UserError(f"TF_CONFIG: {address} is not host:port")
    if len(set(workers)) < len(workers):
        raise UserError("TF_CONFIG: two workers have the same host:port")
    kind, index = task.get("type"), task.get("index")
    if kind not in jobs:
        raise UserError(f'TF_CONFIG: task.type is {json.dumps(kind)}; it must be "worker" (or "chief")')
    if type(index) is not int or not 0 <= index < len(jobs[kind]):
        last = len(jobs[kind]) - 1
        raise UserError(f"TF_CONFIG: task.index is {json.dumps(index)}; the indices of type {kind} are 0 to {last}")
    return Cluster(tuple(workers), index + (len(jobs["chief"]) if kind == "worker" else 0))
