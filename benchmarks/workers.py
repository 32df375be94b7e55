"""Contenders in processes of their own, which stay warm and work only in their turn."""

import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection
from typing import Self

from contenders import Contender, Round, Task

SPAWNED = multiprocessing.get_context("spawn")  # no library inherits another one's threads


class Worker:
    """A contender at a task. A context manager, at whose end the process is gone.

    Args:
        contender: who.
        task: what. The first round, in which libraries compile and tune, begins at once.
    """

    def __init__(self, contender: Contender, task: Task) -> None:
        self.contender = contender
        self._connection, theirs = SPAWNED.Pipe()
        self._process = SPAWNED.Process(target=_work, args=(contender, task, theirs), daemon=True)
        self._process.start()
        theirs.close()  # so that waiting for a process that failed ends

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()
        self._process.join(timeout=5)
        self._process.kill()  # where it was in the middle of a round

    def turn(self) -> Round:
        """Gives the contender its turn, and waits for the round."""
        self._connection.send("go")
        return self.result()

    def result(self) -> Round:
        """Waits for the round that goes on.

        Raises:
            EOFError: where the process failed; its traceback stands on stderr.
        """
        measured: Round = self._connection.recv()
        return measured


def _work(contender: Contender, task: Task, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    silence()

    def hand_in(measured: Round) -> None:
        connection.send(measured)
        try:
            connection.recv()
        except EOFError:
            sys.exit()  # nobody waits for another round

    contender.train(task, hand_in)


def silence() -> None:
    """Keeps what a process prints off the terminal, which belongs to the one that started it; stderr stays."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
