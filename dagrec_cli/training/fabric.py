"""Processes that train together, through Lightning Fabric; imports it, which takes seconds.

Gradients are averaged over the processes (distributed data parallel). The first one reads data,
evaluates and writes; the others wait for what it hands out, so they need neither data nor settings.
They are started here, on this machine, or by a launcher, on any (see :mod:`launcher`).
"""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, ClassVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn
from torch.distributed import DistError

from dagrec_cli.data.processes import SPAWN, end_with_parent
from dagrec_cli.errors import TrainingError
from dagrec_cli.training.launcher import Place

HERE = "127.0.0.1"
JOINING = timedelta(minutes=10)  # until all are there, and for one step of the slowest
PATIENCE = timedelta(hours=6)  # the first process may read, or validate, for long
ENDING_SECONDS = 5
GO_ON = "resume=FOLDER goes on from the last checkpoint"

logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


class _Node(LightningEnvironment):
    """How Fabric sees this process: as a machine with one device."""

    creates_processes_externally = True

    def __init__(self, rank: int) -> None:
        super().__init__()
        self._rank = rank

    def node_rank(self) -> int:
        return self._rank

    def local_rank(self) -> int:
        return 0


class Team:
    """Membership of this process; made when all are there.

    Attributes
    ----------
    place
        Where this process stands.
    launched
        The team that a launcher started, if this process is its first.
    """

    launched: ClassVar["Team | None"] = None

    def __init__(self, place: Place) -> None:
        self.place = place
        if place.address in (HERE, "localhost"):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", _loopback())
        try:
            torch.distributed.init_process_group(
                init_method=f"tcp://{place.address}:{place.port}",
                rank=place.rank,
                world_size=place.n_processes,
                timeout=JOINING,
            )
        except DistError as error:
            raise TrainingError(
                f"process {place.rank} of {place.n_processes} does not find the others at "
                f"{place.address}:{place.port}; start all with torchrun or srun, or set "
                "MASTER_ADDR and MASTER_PORT to a free port of the first one's machine."
            ) from error
        self._words = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)

    def on(self, device: torch.device) -> None:
        """Make ready to compute on a device of this process's own."""
        self._fabric = Fabric(
            accelerator=device.type,
            devices=[device.index or 0] if device.type == "cuda" else 1,
            num_nodes=self.place.n_processes,
            strategy=DDPStrategy(find_unused_parameters=True),
            plugins=[_Node(self.place.rank)],
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
        box = [content]
        torch.distributed.broadcast_object_list(box, src=0, group=self._words)
        return box[0]


@contextmanager
def team(n_processes: int) -> Iterator[Team]:
    """Be the first of a team: of the one that a launcher started, or of one that is started here.

    Raises
    ------
    TrainingError
        If another process dies.
    """
    if Team.launched is None:
        with _started(n_processes) as made:
            yield made
        return
    try:
        yield Team.launched
    except TrainingError:  # all of them met it, and wait for what comes next
        raise
    except BaseException as error:  # the others may wait for anything
        Team.launched = None
        _leave()
        if not _is_loss(error):
            raise
        raise TrainingError(
            f"another training process died and the rest was stopped; {GO_ON}."
        ) from error


@contextmanager
def launched(place: Place) -> Iterator[None]:
    """Be the first of the processes that a launcher started; afterwards the others end."""
    Team.launched = Team(place)
    try:
        yield
    finally:
        if standing := Team.launched:
            with suppress(RuntimeError):
                standing.from_first(None)
            Team.launched = None
            _leave()


def follow(place: Place) -> None:
    """Be one of the others: do what the first process hands out, ``work(team, *given)``.

    Ends with the first one, and with exit code 1 if that, or a process beside, has died.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides what Ctrl-C does
    try:
        member = Team(place)
        while job := member.from_first(None):
            work, *given = job
            work(member, *given)
    except RuntimeError as error:
        if _is_loss(error):
            sys.exit(1)  # the first process says it, or the launcher
        raise
    _leave()


@contextmanager
def _started(n_processes: int) -> Iterator[Team]:
    """Start the other processes and be the first; afterwards none is left."""
    port = _free_port()
    others: list[BaseProcess] = []
    ready: list[Connection] = []
    try:
        for rank in range(1, n_processes):
            mine, theirs = SPAWN.Pipe()
            args = (theirs, Place(rank, n_processes, rank, HERE, port))
            others.append(SPAWN.Process(target=_be_started, args=args, daemon=True))
            others[-1].start()
            ready.append(mine)
        _wait_for(others, ready)
        yield Team(Place(0, n_processes, 0, HERE, port))
    except RuntimeError as error:
        _raise_if_dead(others, error)
        raise
    finally:
        for other in others:
            other.terminate()
            other.join()
        _leave()


def _be_started(ready: Connection, place: Place) -> None:
    end_with_parent()
    ready.send(place.rank)
    follow(place)


def _wait_for(others: Sequence[BaseProcess], ready: Sequence[Connection]) -> None:
    for other, mine in zip(others, ready, strict=True):
        connection.wait([mine, other.sentinel])
        if not mine.poll():
            _raise_if_dead(others, None)


def _raise_if_dead(others: Sequence[BaseProcess], error: Exception | None) -> None:
    ended = connection.wait([other.sentinel for other in others], ENDING_SECONDS)
    for rank, other in enumerate(others, start=1):
        if other.sentinel in ended:
            other.join()
            raise TrainingError(
                f"training process {rank} died (exit code {other.exitcode}) and the others were "
                f"stopped; {GO_ON}."
            ) from error


def _is_loss(error: BaseException) -> bool:
    """Return whether an error is how torch reports a connection that broke."""
    return isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _leave() -> None:
    if group := torch.distributed.group.WORLD:
        group.abort()  # or it may wait for the dead, up to PATIENCE
        torch.distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port: int = probe.getsockname()[1]
        return port


def _loopback() -> str:
    return next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
