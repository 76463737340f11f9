"""Processes that train together, through Lightning Fabric; imports it, which takes seconds.

Gradients are averaged over the processes (distributed data parallel). The processes are started
here and not by Fabric, which would run the whole command line again in each: so only the first one
reads data, evaluates and writes.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from dagrec_cli.errors import TrainingError

HERE = "127.0.0.1"
SET_BY_FABRIC = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "NODE_RANK", "LOCAL_RANK")
PATIENCE = timedelta(hours=6)  # the first process may validate for long
JOIN_SECONDS = 5

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


class _Place(LightningEnvironment):
    """Where this process stands; nothing is read from the environment."""

    def __init__(self, rank: int, port: int) -> None:
        super().__init__()
        self._rank = rank
        self._port = port

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return HERE

    @property
    def main_port(self) -> int:
        return self._port

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0


class Team:
    """Membership of this process.

    Attributes
    ----------
    rank
        Number of this process, from 0.
    """

    def __init__(self, rank: int, n_processes: int, port: int, device: str) -> None:
        self.rank = rank
        strategy = DDPStrategy(find_unused_parameters=True, timeout=PATIENCE)
        self._fabric = Fabric(
            accelerator=device,
            devices=n_processes,
            strategy=strategy,
            plugins=[_Place(rank, port)],
        )
        self._fabric.launch()

    def wrap(self, module: nn.Module) -> Callable[[], Tensor]:
        """Return a module whose gradients are averaged over the team."""
        return self._fabric.setup_module(module)

    def mean(self, value: float) -> float:
        """Return the mean of a number over the team."""
        number = torch.tensor(value, dtype=torch.float64, device=self._fabric.device)
        found: Tensor = self._fabric.all_reduce(number, reduce_op="mean")  # type: ignore[assignment]
        return found.item()

    def from_first(self, content: Any) -> Any:
        """Return what the first process gives."""
        return self._fabric.broadcast(content)


@contextmanager
def team(n_processes: int, device: str, work: Callable[..., None], *given: Any) -> Iterator[Team]:
    """Start the other processes and be the first of the team; afterwards none is left.

    Parameters
    ----------
    work
        What each other process does: ``work(team, *given)``, picklable.

    Raises
    ------
    TrainingError
        If another process dies.
    """
    before = {name: os.environ.get(name) for name in (*SET_BY_FABRIC, "GLOO_SOCKET_IFNAME")}
    os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
    port = _free_port()
    spawn = get_context("spawn")  # a fork would copy torch's thread pool in whatever state it is
    others: list[BaseProcess] = []
    ready: list[Connection] = []
    try:
        for rank in range(1, n_processes):
            mine, theirs = spawn.Pipe()
            args = (theirs, rank, n_processes, port, device, work, given)
            others.append(spawn.Process(target=_take_part, args=args, daemon=True))
            others[-1].start()
            ready.append(mine)
        _wait_for(others, ready)
        yield Team(0, n_processes, port, device)
    except RuntimeError as error:  # how torch reports a connection that broke
        _raise_if_dead(others, error)
        raise
    finally:
        for other in others:
            other.terminate()
            other.join()
        if group := torch.distributed.group.WORLD:
            group.abort()  # or it may wait for the dead, up to PATIENCE
            torch.distributed.destroy_process_group()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _take_part(
    ready: Connection,
    rank: int,
    n_processes: int,
    port: int,
    device: str,
    work: Callable[..., None],
    given: Sequence[Any],
) -> None:
    """Be one of the other processes; end with the first one, however that ends."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides what Ctrl-C does
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ready.send(rank)
    work(Team(rank, n_processes, port, device), *given)


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
    os._exit(1)


def _wait_for(others: Sequence[BaseProcess], ready: Sequence[Connection]) -> None:
    for other, mine in zip(others, ready, strict=True):
        connection.wait([mine, other.sentinel])
        if not mine.poll():
            _raise_if_dead(others, None)


def _raise_if_dead(others: Sequence[BaseProcess], error: Exception | None) -> None:
    ended = connection.wait([other.sentinel for other in others], JOIN_SECONDS)
    for rank, other in enumerate(others, start=1):
        if other.sentinel in ended:
            other.join()
            raise TrainingError(
                f"training process {rank} died (exit code {other.exitcode}) and the others were "
                "stopped; resume=FOLDER goes on from the last checkpoint."
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
        return port


def _loopback() -> str:
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
