"""Contenders in processes of their own, which stay warm and work only when it is their turn."""

import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Self

from contenders import Contender, Round, Task

SPAWNED = multiprocessing.get_context("spawn")  # no library inherits another one's threads


class Worker:
    """The process of a contender at a task. A context manager that ends the process.

    Args:
        contender: the contender.
        task: the task. The first round, in which libraries compile and tune, begins at once.
    """

    def __init__(self, contender: Contender, task: Task) -> None:
        self.contender = contender
        self._connection, theirs = SPAWNED.Pipe()
        self._process = SPAWNED.Process(target=_work, args=(contender, task, theirs), daemon=True)
        self._process.start()
        theirs.close()  # or a wait for a process that failed would not end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()  # in case it was in the middle of a round

    def turn(self) -> Round:
        """Give the contender its turn, wait for the round and return its result."""
        self._connection.send("go")
        return self.result()

    def result(self) -> Round:
        """Wait for the current round and return its result.

        Raises:
            EOFError: if the process failed; its traceback is on stderr.
        """
        measured: Round = self._connection.recv()
        return measured


def _work(contender: Contender, task: Task, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent process
    silence()

    def hand_in(measured: Round) -> None:
        connection.send(measured)
        try:
            connection.recv()
        except EOFError:
            sys.exit()  # the parent wants no further round

    contender.train(task, hand_in)


def silence() -> None:
    """Send the stdout of this process to nowhere, because the terminal belongs to its parent; keep stderr."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
