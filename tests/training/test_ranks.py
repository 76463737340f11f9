"""Where a launcher put this process, from what it left in the environment."""

import os
from unittest.mock import patch

import pytest

from dagrec_cli.errors import ConfigError
from dagrec_cli.training.distributed import Distributed
from dagrec_cli.training.ranks import Rank, launched_rank

TORCHRUN = {
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "head",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_JOB_ID": "1234567",
    "SLURM_JOB_NODELIST": "node[07-09,12],gpu1",
    "SLURM_NTASKS": "5",
    "SLURM_PROCID": "4",
    "SLURM_LOCALID": "0",
}


@pytest.mark.parametrize(
    ("left", "found"),
    [
        ({}, None),
        (TORCHRUN, Rank(3, 4, 1, "head", 29500)),
        (SLURM, Rank(4, 5, 0, "node07", 19567)),
        (SLURM | {"MASTER_PORT": "4000"}, Rank(4, 5, 0, "node07", 4000)),
        (SLURM | {"SLURM_STEP_NODELIST": "gpu1"}, Rank(4, 5, 0, "gpu1", 19567)),
        (SLURM | {"SLURM_JOB_NODELIST": "r[1-2]n[03,5]"}, Rank(4, 5, 0, "r1n03", 19567)),
        (SLURM | TORCHRUN, Rank(3, 4, 1, "head", 29500)),  # srun torchrun …
        (SLURM | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),  # a batch job of one task
    ],
)
def test_the_rank_is_read_from_the_environment(left: dict[str, str], found: Rank | None) -> None:
    with patch.dict(os.environ, left, clear=True):
        assert launched_rank() == found


@pytest.mark.parametrize(
    ("processes", "told"),
    [
        ("auto", "torchrun or srun started this process, but its group is not there; name trainer"),
        (2, "trainer.processes is 2 but torchrun or srun started 4; use trainer.processes=auto"),
        ("many", "trainer.processes is 'many'; use a whole number of 2 or more"),
    ],
)
def test_a_launched_process_needs_its_group(trainer: object, processes: object, told: str) -> None:
    assert callable(trainer)
    with patch.dict(os.environ, TORCHRUN), pytest.raises(ConfigError, match=told):
        trainer("distributed", processes=processes)


def test_auto_is_two_processes_here(trainer: object) -> None:
    assert callable(trainer)
    made = trainer("distributed")
    assert isinstance(made, Distributed)
    assert made.n_ranks == 2
