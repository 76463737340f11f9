"""Where this process stands among those that a launcher started: ``torchrun``, or SLURM's ``srun``.

They may be on several machines. The first one runs the command; the others train along.
"""

import os
import re
from typing import NamedTuple


class Place(NamedTuple):
    """Where one process of a team stands.

    Attributes
    ----------
    rank
        Its number, from 0.
    n_processes
        How many there are.
    local_rank
        Its number among those of its machine, which is also that of its CUDA device.
    address, port
        Where the first process, or ``torchrun``, waits for the others.
    """

    rank: int
    n_processes: int
    local_rank: int
    address: str
    port: int


def place() -> Place | None:
    """Return where a launcher put this process; None if it was started on its own."""
    env = os.environ
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= env.keys():
        numbers = (int(env["RANK"]), int(env["WORLD_SIZE"]), int(env.get("LOCAL_RANK", 0)))
        return Place(*numbers, env["MASTER_ADDR"], int(env["MASTER_PORT"]))
    if "SLURM_PROCID" in env and (n_processes := int(env.get("SLURM_NTASKS", 1))) > 1:
        nodes = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_JOB_NODELIST", "localhost")
        job = int(env.get("SLURM_JOB_ID", 0))
        return Place(
            int(env["SLURM_PROCID"]),
            n_processes,
            int(env.get("SLURM_LOCALID", 0)),
            env.get("MASTER_ADDR", _first(nodes)),
            int(env.get("MASTER_PORT", 15_000 + job % 10_000)),
        )
    return None


def _first(nodes: str) -> str:
    """Return the first host of SLURM's list: ``node07`` of ``node[07-09,12],gpu1``."""
    return re.sub(r"\[([^],-]*)[^]]*\]?", r"\1", nodes.split(",")[0])
