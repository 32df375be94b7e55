"""The meeting of the workers of a distributed run, before TensorFlow waits for them.

TensorFlow's own timeouts cannot replace it. Measured with TensorFlow 2.21, on `MultiWorkerMirroredStrategy`:

- It waits for an absent worker without a word at our log level; after 8 minutes it still did. Neither
  `CommunicationOptions(timeout_seconds=20)` nor the private registration timeout of the coordination service changed
  that. SIGINT and SIGTERM had no effect, only SIGKILL.
- If two workers have the same task index, one fails to start its server, and the other waits as for an absent one.
- Workers with clusters of different sizes, or gradients of different shapes, fail in the first reduction. Other
  differences, such as between options, cannot show there.

A worker that is lost after it connected is reported within 11 s, by its missing heartbeats; that is left to TensorFlow.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from vae.distributed.cluster import Cluster
from vae.errors import UserError

PATIENCE = 40.0  # seconds; with TensorFlow's import, a worker that waits in vain ends within a minute
INTERVAL = 0.25  # seconds between two attempts to reach a worker
SILENCE = 2.0  # seconds before a worker says that it waits
GREETING = b"vae\n"


def meet(cluster: Cluster, facts: Mapping[str, Any], patience: float = PATIENCE) -> None:
    """Return once every worker has reached every other one.

    Args:
        cluster: the workers.
        facts: values that must be the same on all workers, by name, such as the options.
        patience: seconds to wait for the other workers.

    Raises:
        UserError: if the port of this worker is taken, or another worker is not there in time or belongs to another
            run.
    """
    asyncio.run(_Meeting(cluster, facts).hold(patience))


class _Meeting:
    """One worker's side of the meeting.

    Each worker listens on its port and connects to every other one. A connection begins with a greeting, which is
    answered by the facts of the worker that listens and, once that worker has reached everyone, by a second line.
    """

    def __init__(self, cluster: Cluster, facts: Mapping[str, Any]) -> None:
        self.cluster = cluster
        self.facts = {"workers": list(cluster.workers), **facts}
        self.others = {index: address for index, address in enumerate(cluster.workers) if index != cluster.index}
        self.missing = dict.fromkeys(self.others, "does not answer")
        self.reached: set[int] = set()
        self.reached_everyone = asyncio.Event()
        self.informed_workers = asyncio.Semaphore(0)

    async def hold(self, patience: float) -> None:
        """Return once every worker has reached every other one, as in `meet`."""
        port = self.cluster.port
        try:
            server = await asyncio.start_server(self._answer, port=port)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UserError(f"worker {self.cluster.index}: cannot listen on its port {port} ({reason})") from None
        notice = asyncio.get_running_loop().call_later(SILENCE, self._print_notice, patience)
        try:
            async with asyncio.timeout(patience):
                await asyncio.gather(*(self._reach(index) for index in self.others))
                for _ in self.others:
                    await self.informed_workers.acquire()
        except TimeoutError:
            raise UserError(
                f"worker {self.cluster.index}: waited {patience:g} s for {self._missing_workers()}; start all workers, "
                "with the same cluster, on hosts that reach each other"
            ) from None
        finally:
            notice.cancel()
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError, asyncio.CancelledError):
            if await reader.readline() == GREETING:
                writer.write(json.dumps({"index": self.cluster.index, **self.facts}).encode() + b"\n")
                await self.reached_everyone.wait()
                writer.write(GREETING)
                await writer.drain()
                self.informed_workers.release()

    async def _reach(self, index: int) -> None:
        """Return once this worker has reached that one, and that one has reached everyone."""
        host, _, port = self.others[index].rpartition(":")
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
                with contextlib.closing(writer):
                    writer.write(GREETING)
                    if answer := await reader.readline():
                        self._check_answer(answer, index)
                        self.missing[index] = "waits for another worker"
                        self.reached.add(index)
                        if self.reached == set(self.others):
                            self.reached_everyone.set()
                        if await reader.readline() == GREETING:
                            del self.missing[index]
                            return
            self.missing[index] = "does not answer"
            await asyncio.sleep(INTERVAL)

    def _check_answer(self, answer: bytes, index: int) -> None:
        worker = f"worker {index} ({self.others[index]})"
        try:
            facts = dict(json.loads(answer))
        except (ValueError, TypeError):
            raise UserError(f"{worker}: another program answers there") from None
        if facts.get("index") != index:
            raise UserError(f"{worker}: another worker answers there; each needs a task.index of its own")
        for name, value in self.facts.items():
            if facts.get(name) != value:
                raise UserError(f"{worker}: was started with another {name}: {facts.get(name)}")

    def _missing_workers(self) -> str:
        return ", ".join(
            f"worker {index} ({self.others[index]}), which {reason}" for index, reason in self.missing.items()
        )

    def _print_notice(self, patience: float) -> None:
        print(f"waiting up to {patience:g} s for {self._missing_workers()}", file=sys.stderr, flush=True)
