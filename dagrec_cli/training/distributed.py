"""Training in several processes, each with a share of every batch (data parallel).

Source: Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB
2020, through Lightning Fabric.
Differs from the source: shares may be uneven, since every row counts the same: a process divides by
the weight of the whole step, not of its share.
"""

from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from dagrec_cli.config.kinds import TwoOrMore
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.checkpoint import pack, unpack
from dagrec_cli.training.hardware import find_device
from dagrec_cli.training.history import History
from dagrec_cli.training.launcher import Place, place
from dagrec_cli.training.mini_batch import MiniBatch, cut
from dagrec_cli.training.state import Keeper, State
from dagrec_cli.training.trainer import Objective

if TYPE_CHECKING:
    from dagrec_cli.training.fabric import Team

Processes = TwoOrMore | Literal["auto"]


class Distributed(MiniBatch):
    """Mini-batches dealt out to processes, which average their gradients.

    The model is that of :class:`MiniBatch` with the same ``batch_size``, up to rounding and the
    random numbers of dropout and sampling. A resumed run goes on with the same number of processes.

    Parameters
    ----------
    processes
        How many are started on this machine, 2 and up, or ``auto``: as many as ``torchrun`` or
        ``srun`` started, otherwise 2. With CUDA each has a device of its own.
    batch_size
        Contexts encoded at once by all processes together.

    Raises
    ------
    ConfigError
        If Lightning Fabric is not installed, there are fewer devices than processes, or a launcher
        started another number of processes.
    """

    def __init__(self, *, processes: Processes, **settings: Any) -> None:
        here = place()
        self.processes = _count(processes, here)
        super().__init__(**settings)
        if find_spec("lightning_fabric") is None:
            raise ConfigError(
                "trainer=distributed needs Lightning Fabric; install it with: "
                "pip install -c constraints.txt -e '.[fabric]'."
            )
        if here and not torch.distributed.is_initialized():
            raise ConfigError(
                "torchrun or srun started this process, but its group is not there; name "
                "trainer=distributed on the command line, also beside resume=FOLDER, or start "
                "again if a process has died."
            )
        if self.device.type == "cuda" and not here:
            find_device(f"cuda:{self.processes - 1}")
        self._team: Team | None = None

    def fit(
        self,
        model: TorchModel,
        loss: Loss,
        sampler: Sampler,
        pairs: TrainingPairs,
        history: History,
        *,
        generator: Generator,
        **options: Any,
    ) -> None:
        """Train a model in place, see :meth:`Trainer.fit`; the other processes end with it.

        Raises
        ------
        TrainingError
            Also if one of the processes dies.
        """
        from dagrec_cli.training.fabric import team

        n_threads = torch.get_num_threads()
        n_each = n_threads if place() else max(1, n_threads // self.processes)
        given = (self, model, loss, sampler, pairs, generator.initial_seed(), n_each)
        torch.set_num_threads(n_each)
        try:
            with team(self.processes) as first:
                first.from_first((_train_along, *given))
                self._join(first)
                super().fit(model, loss, sampler, pairs, history, generator=generator, **options)
        finally:
            self._team = None
            torch.set_num_threads(n_threads)

    def train_along(
        self,
        team: "Team",
        model: TorchModel,
        loss: Loss,
        sampler: Sampler,
        pairs: TrainingPairs,
        generator: Generator,
    ) -> None:
        """Train as one of the other processes, with nothing to watch or keep."""
        self._join(team)
        with suppress(TrainingError):  # the first process says it
            super().fit(model, loss, sampler, pairs, History(), generator=generator)

    def batches(
        self, pairs: TrainingPairs, chosen: NDArray[np.int32], total: float
    ) -> Iterator[Batch]:
        """Yield this process's share of each batch; without one, rows that weigh nothing."""
        for batch in cut(chosen, self.batch_size):
            mine = np.array_split(batch, self.processes)[self._rank]  # neighbours stay together
            share = pairs.batch(mine if len(mine) else batch[:1], total / self.processes)
            yield share if len(mine) else share._replace(weight=torch.zeros_like(share.weight))

    def objective(
        self, model: TorchModel, loss: Loss, sampler: Sampler, generator: Generator
    ) -> Objective:
        """Return the function of a batch whose gradients are averaged over the processes."""
        alone = super().objective(model, loss, sampler, generator)
        module = _Averaged(model, alone)
        together = self._member.wrap(module)

        def averaged(batch: Batch) -> Tensor:
            module.batch = batch
            return together()

        return averaged

    def start(self, state: State, keeper: Keeper | None) -> None:
        """Bring every process's state to where the first one starts."""
        super().start(state, keeper)
        first = self._member.from_first(None if self._rank else pack(state.checkpoint()))
        if self._rank:
            state.load(unpack(first))

    def mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        return self._member.mean(value)

    def agree(self, flag: bool) -> bool:
        """Return what the first process says."""
        return bool(self._member.from_first(flag))

    def _join(self, team: "Team") -> None:
        if self.device.type == "cuda":
            self.device = find_device(f"cuda:{team.place.local_rank}")
        team.on(self.device)
        self._team = team

    @property
    def _member(self) -> "Team":
        assert self._team is not None, "outside of fit"
        return self._team

    @property
    def _rank(self) -> int:
        return self._member.place.rank

    def _epoch(self, state: State, objective: Objective, pairs: TrainingPairs) -> float:
        if self._rank:  # dropout and samples of its own, the same ones if the run is resumed
            (seed,) = np.random.SeedSequence([state.seed, self._rank, state.epoch]).generate_state(
                1
            )
            torch.manual_seed(int(seed))
            state.generator.manual_seed(int(seed))
        return super()._epoch(state, objective, pairs)


class _Averaged(nn.Module):
    """A model's loss as a module, which is what can be averaged; takes its batch aside."""

    batch: Batch

    def __init__(self, model: TorchModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        # Batches may leave weights unused, which torch has to look for; it warns on standard error
        # if it never finds any. This one is always found.
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self) -> Tensor:
        return self.objective(self.batch)


def _count(processes: Processes, here: Place | None) -> int:
    if processes == "auto":
        return here.n_processes if here else 2
    if here and processes != here.n_processes:
        raise ConfigError(
            f"trainer.processes is {processes} but torchrun or srun started {here.n_processes}; "
            "use trainer.processes=auto."
        )
    return processes


def _train_along(
    team: "Team",
    trainer: Distributed,
    model: TorchModel,
    loss: Loss,
    sampler: Sampler,
    pairs: TrainingPairs,
    seed: int,
    n_threads: int,
) -> None:
    """Be one of the other processes: the same training, with nothing to watch or keep."""
    torch.set_num_threads(n_threads)
    trainer.train_along(team, model, loss, sampler, pairs, Generator().manual_seed(seed))
