"""The workers of a distributed run: who they are, and that all of them are there before TensorFlow waits for them."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
PATIENCE = 40.0  # seconds: with TensorFlow's own start, a worker that waits in vain says so within a minute
INTERVAL = 0.25  # seconds between two attempts to reach a worker
GREETING = b"vae\n"


@dataclass(frozen=True)
class Cluster:
    """The workers in TensorFlow's order, and which of them this process is.

    Args:
        workers: "host:port" of each.
        index: this one's.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def port(self) -> int:
        """Where this worker listens."""
        return int(self.workers[self.index].rpartition(":")[2])


def has_slurm_step(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process was started by Slurm's `srun`."""
    return all(name in environment for name in SLURM)


def is_chief(strategy: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is the one that writes: every process is, but for a multi_worker's others."""
    if strategy != "multi_worker":
        return True
    if "TF_CONFIG" in environment:
        return tf_config_cluster(environment).index == 0
    return environment.get("SLURM_PROCID", "0") == "0"


def check_multi_worker(environment: Mapping[str, str] = os.environ) -> None:
    """What can be known of trainer.strategy=multi_worker before TensorFlow is loaded.

    Raises:
        UserError: where neither TF_CONFIG nor Slurm names the workers, or TF_CONFIG is wrong.
    """
    if "TF_CONFIG" in environment:
        tf_config_cluster(environment)
    elif not has_slurm_step(environment):
        where = (
            "a Slurm job, but not a step of it: start it by srun" if "SLURM_JOB_ID" in environment else "no TF_CONFIG"
        )
        raise UserError(
            f"trainer.strategy=multi_worker: there is {where}; "
            f"it needs the environment of Slurm's srun or TF_CONFIG='{EXAMPLE}'"
        )


def tf_config_cluster(environment: Mapping[str, str] = os.environ) -> Cluster:
    """The cluster that TF_CONFIG describes; a task of type "chief" comes first.

    Raises:
        UserError: where it is not as TensorFlow needs it.
    """
    try:
        config = json.loads(environment["TF_CONFIG"])
    except json.JSONDecodeError as error:
        raise UserError(f"TF_CONFIG: is not JSON ({error}); it must be as {EXAMPLE}") from None
    cluster, task = (config.get(name) if isinstance(config, dict) else None for name in ("cluster", "task"))
    if not isinstance(cluster, dict) or not isinstance(task, dict):
        raise UserError(f'TF_CONFIG: must have a "cluster" and a "task", as {EXAMPLE}')
    jobs = {name: cluster.get(name, []) for name in ("chief", "worker")}
    if set(cluster) - set(jobs) or not all(isinstance(addresses, list) for addresses in jobs.values()):
        raise UserError(f'TF_CONFIG: "cluster" must have lists of "worker" (and one "chief"), as {EXAMPLE}')
    workers = [*jobs["chief"], *jobs["worker"]]
    if len(jobs["chief"]) > 1 or not workers:
        raise UserError(f'TF_CONFIG: "cluster" must name at least one worker and at most one chief, as {EXAMPLE}')
    for address in workers:
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UserError(f"TF_CONFIG: {address} is no host:port")
    if len(set(workers)) < len(workers):
        raise UserError("TF_CONFIG: two workers have the same host:port")
    kind, index = task.get("type"), task.get("index")
    if kind not in jobs:
        raise UserError(f'TF_CONFIG: task.type is {json.dumps(kind)}; it must be "worker" (or "chief")')
    if type(index) is not int or not 0 <= index < len(jobs[kind]):
        count = len(jobs[kind])
        raise UserError(
            f"TF_CONFIG: task.index is {json.dumps(index)}; the cluster's {count} of type {kind} are 0 to {count - 1}"
        )
    return Cluster(tuple(workers), index + (len(jobs["chief"]) if kind == "worker" else 0))


def meet(cluster: Cluster, facts: Mapping[str, Any], patience: float = PATIENCE) -> None:
    """Returns when every worker has reached every other: TensorFlow itself would wait for a missing one without end.

    Args:
        cluster: the workers.
        facts: what must be the same on all of them, such as the configuration.
        patience: for how many seconds to wait for the others.

    Raises:
        UserError: where this worker's port is taken, another is not there in time, or is not of this run.
    """
    asyncio.run(_meet(cluster, {"workers": list(cluster.workers), **facts}, patience))


async def _meet(cluster: Cluster, facts: Mapping[str, Any], patience: float) -> None:
    others = {index: address for index, address in enumerate(cluster.workers) if index != cluster.index}
    missing = dict.fromkeys(others, "does not answer")
    reached: set[int] = set()
    everyone, told = asyncio.Event(), asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Tells a worker that reached this one who this is and, when it is so, that this one has reached everyone."""
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
            if await reader.readline() == GREETING:
                writer.write(json.dumps({"index": cluster.index, **facts}).encode() + b"\n")
                await everyone.wait()
                writer.write(GREETING)
                await writer.drain()
                told.release()

    async def reach(index: int) -> None:
        """Returns when that worker, too, has reached everyone."""
        host, _, port = others[index].rpartition(":")
        while index in missing:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
                with contextlib.closing(writer):
                    writer.write(GREETING)
                    if hello := await reader.readline():
                        _check_hello(hello, index, others[index], facts)
                        missing[index] = "waits for another"
                        reached.add(index)
                        if reached == set(others):
                            everyone.set()
                        if await reader.readline() == GREETING:
                            del missing[index]
                            return
            missing[index] = "does not answer"
            await asyncio.sleep(INTERVAL)

    try:
        server = await asyncio.start_server(answer, port=cluster.port)
    except OSError as error:
        raise UserError(
            f"worker {cluster.index}: cannot listen on its port {cluster.port} ({os.strerror(error.errno or 0)})"
        ) from None
    waiting = asyncio.get_running_loop().call_later(2, _say_waiting, missing, others, patience)
    try:
        async with asyncio.timeout(patience):
            await asyncio.gather(*(reach(index) for index in others))
            for _ in others:
                await told.acquire()
    except TimeoutError:
        raise UserError(
            f"worker {cluster.index}: waited {patience:g} s for {_listed(missing, others)}; all workers must be "
            "started, with one and the same cluster, on hosts that reach each other"
        ) from None
    finally:
        waiting.cancel()
        server.close()


def _check_hello(hello: bytes, index: int, address: str, facts: Mapping[str, Any]) -> None:
    try:
        theirs = dict(json.loads(hello))
    except (ValueError, TypeError):
        raise UserError(f"worker {index} ({address}): what answers there is no worker") from None
    if theirs.get("index") != index:
        raise UserError(f"worker {index} ({address}): another worker answers there; each needs a task.index of its own")
    for name, value in facts.items():
        if theirs.get(name) != value:
            raise UserError(f"worker {index} ({address}): was started with another {name}: {theirs.get(name)}")


def _listed(missing: Mapping[int, str], others: Mapping[int, str]) -> str:
    return ", ".join(f"worker {index} ({others[index]}), which {reason}" for index, reason in missing.items())


def _say_waiting(missing: Mapping[int, str], others: Mapping[int, str], patience: float) -> None:
    print(f"waiting up to {patience:g} s for {_listed(missing, others)}", file=sys.stderr, flush=True)
