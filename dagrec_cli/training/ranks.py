"""Ranks of a process group, as torch.distributed has them: several processes that train together.

Rank 0 runs the command: it reads data, validates and writes. The others wait for what it hands out,
so they need neither data nor settings. They are started here, or by ``torchrun`` or SLURM's
``srun``, on any machines.
"""

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

from torch import distributed
from torch.distributed import DistError, ProcessGroup, TCPStore  # type: ignore[attr-defined]  # it is C++

from dagrec_cli.data.processes import SPAWN, ctrl_c_held_back, end_with_parent
from dagrec_cli.errors import ConfigError, TrainingError

HERE = "127.0.0.1"
JOINING = timedelta(minutes=10)  # until all are there, and for one step of the slowest
PATIENCE = timedelta(hours=6)  # rank 0 may read, or validate, for long
POLL_SECONDS, ENDING_SECONDS = 0.05, 5.0
CHOSEN = re.compile(r"trainer=.*\bdistributed\b")


class Rank(NamedTuple):
    """One process of a group.

    Attributes
    ----------
    number
        From 0.
    n_ranks
        How many there are.
    local_rank
        Its number among those of its machine, which is also that of its CUDA device.
    address, port
        Where rank 0, or ``torchrun``, waits for the others.
    """

    number: int
    n_ranks: int
    local_rank: int
    address: str
    port: int


def launched_rank() -> Rank | None:
    """Return the rank that a launcher gave this process; None if it was started alone."""
    env = os.environ
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= env.keys():
        numbers = (int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", 0)))
        return Rank(*numbers, env["MASTER_ADDR"], int(env["MASTER_PORT"]))
    if "SLURM_PROCID" in env and (n_ranks := int(env.get("SLURM_NTASKS", 1))) > 1:
        nodes = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_JOB_NODELIST", "localhost")
        job = int(env.get("SLURM_JOB_ID", 0))
        return Rank(
            int(env["SLURM_PROCID"]),
            n_ranks,
            int(env.get("SLURM_LOCALID", 0)),
            env.get("MASTER_ADDR", _first_host(nodes)),
            int(env.get("MASTER_PORT", 15_000 + job % 10_000)),
        )
    return None


def _first_host(nodes: str) -> str:
    """Return the first host of SLURM's list: ``node07`` of ``node[07-09,12],gpu1``."""
    return re.sub(r"\[([^],-]*)[^]]*\]?", r"\1", nodes.split(",")[0])


@contextmanager
def as_launched(words: Sequence[str]) -> Iterator[bool]:
    """Join the ranks that a launcher started; yields whether this process runs the command.

    Parameters
    ----------
    words
        The command line: ``trainer=distributed`` must be on it, since the other ranks know no more.

    Raises
    ------
    ConfigError
        In rank 0, if ``torchrun`` started several for a training that is not distributed: each
        would train the whole.
    """
    here = launched_rank()
    is_chosen = any(map(CHOSEN.match, words))
    if here and here.n_ranks > 1 and not is_chosen and "RANK" in os.environ:
        if here.number == 0:
            raise ConfigError(
                f"torchrun started {here.n_ranks} processes, and each would train the whole; add "
                "trainer=distributed, or start dagrec without torchrun."
            )
        yield False
    elif not (here and is_chosen):
        yield True
    elif here.number:
        work_for_first(here)
        yield False
    else:
        _join(here)
        try:
            yield True
        finally:
            if distributed.is_initialized():
                with suppress(RuntimeError):  # if one is gone, the others have noticed
                    from_first(None)
                _leave()


def work_for_first(rank: Rank) -> None:
    """Be a rank other than 0: do what that hands out, ``work(*given)``, until it hands out None.

    Ends the process with exit code 1 if rank 0, or a rank beside, has died.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # rank 0 decides what Ctrl-C does
    try:
        _join(rank)
        while job := from_first():
            work, *given = job
            with suppress(TrainingError):  # all ranks met it, and rank 0 says it
                work(*given)
    except RuntimeError as error:
        if _is_loss(error):
            sys.exit(1)  # rank 0 says it, or the launcher
        raise
    _leave()


@contextmanager
def process_group(n_ranks: int) -> Iterator[None]:
    """Be rank 0 of the group that a launcher started, or of one that is started here.

    Raises
    ------
    TrainingError
        If another rank dies.
    """
    others: list[BaseProcess] = []
    try:
        if not distributed.is_initialized():
            _start(n_ranks, others)
        yield
    except TrainingError:  # all ranks met it, and wait for what comes next
        raise
    except BaseException as error:
        _leave()  # the others may wait for anything
        if not _is_loss(error):
            raise
        who = _first_dead(others, ENDING_SECONDS) if others else ""
        raise TrainingError(
            f"{who or 'another training process died'} and the others were stopped; "
            "resume=FOLDER continues from the last checkpoint."
        ) from error
    finally:
        for process in others:
            process.terminate()
            process.join()
        if others:
            _leave()


def from_first(content: Any = None) -> Any:
    """Return what rank 0 gives, on every rank."""
    box = [content]
    distributed.broadcast_object_list(box, src=0, group=_patient_group())
    return box[0]


@cache
def _patient_group() -> ProcessGroup:
    """Return a second group of the same ranks, which made it together; it waits longer."""
    group = distributed.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(group, ProcessGroup)
    return group


def _start(n_ranks: int, others: list[BaseProcess]) -> None:
    """Start the other ranks on this machine, into a list, and join them as rank 0."""
    # The system picks the port. Rank 0 serves it before anybody asks, and once for both uses: to
    # see that the others have begun, and for torch's own rendezvous.
    store = TCPStore(HERE, 0, is_master=True, wait_for_workers=False, multi_tenant=True)
    ranks = [Rank(number, n_ranks, number, HERE, store.port) for number in range(n_ranks)]
    with ctrl_c_held_back():  # rank 0 decides what it does
        for rank in ranks[1:]:
            others.append(SPAWN.Process(target=_be_started, args=(rank,), daemon=True))
            others[-1].start()
    while not store.check([str(rank.number) for rank in ranks[1:]]):
        if who := _first_dead(others, POLL_SECONDS):
            raise TrainingError(f"{who} before it could train; start again.")
    _join(ranks[0])


def _be_started(rank: Rank) -> None:
    end_with_parent()
    TCPStore(HERE, rank.port, is_master=False).set(str(rank.number), "has begun")
    work_for_first(rank)


def _first_dead(others: Sequence[BaseProcess], seconds: float) -> str:
    """Return which process has died, waiting so long for that to happen; empty if none has."""
    connection.wait([process.sentinel for process in others], seconds)
    ended = [(process.exitcode, rank) for rank, process in enumerate(others, start=1)]
    # The code of one that was killed is negative; those that noticed its absence end with 1.
    dead = sorted((code, rank) for code, rank in ended if code is not None)
    return f"training process {dead[0][1]} died (exit code {dead[0][0]})" if dead else ""


def _join(rank: Rank) -> None:
    """Make this process a rank; returns when all are there."""
    number, n_ranks, _, address, port = rank
    if address in (HERE, "localhost"):  # or gloo looks up this machine's name, which may fail
        names = (name for _, name in socket.if_nameindex())
        os.environ.setdefault("GLOO_SOCKET_IFNAME", next(n for n in names if n.startswith("lo")))
    try:
        distributed.init_process_group(
            init_method=f"tcp://{address}:{port}", rank=number, world_size=n_ranks, timeout=JOINING
        )
    except DistError as error:
        raise TrainingError(
            f"process {number} of {n_ranks} does not find the others at {address}:{port}; start "
            "all with torchrun or srun, or set MASTER_ADDR and MASTER_PORT to a free port of the "
            "first one's machine."
        ) from error


def _leave() -> None:
    _patient_group.cache_clear()
    if group := distributed.group.WORLD:
        group.abort()  # or it may wait for the dead, up to PATIENCE
        distributed.destroy_process_group()


def _is_loss(error: BaseException) -> bool:
    """Return whether an error is how torch reports a connection that broke."""
    return isinstance(error, DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )
