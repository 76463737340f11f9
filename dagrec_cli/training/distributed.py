"""Training in several processes, each with a share of every batch (data parallel).

Source: Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB
2020, through Lightning Fabric.
Differs from the source: shares may be uneven, since every row counts the same: a process divides by
the weight of the whole step, not of its share.
"""

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from dagrec_cli.config.limits import check_count
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.checkpoint import pack, unpack
from dagrec_cli.training.hardware import find_device
from dagrec_cli.training.history import History
from dagrec_cli.training.mini_batch import MiniBatch, cut
from dagrec_cli.training.state import State
from dagrec_cli.training.trainer import Keeper, Objective

if TYPE_CHECKING:
    from dagrec_cli.training.fabric import Team


class Distributed(MiniBatch):
    """Mini-batches dealt out to processes of this machine, which average their gradients.

    The model is that of :class:`MiniBatch` with the same ``batch_size``, up to rounding and the
    random numbers of dropout and sampling. A resumed run goes on with the same number of processes.

    Parameters
    ----------
    processes
        How many, 2 and up; with CUDA each has a device of its own.
    batch_size
        Contexts encoded at once by all processes together.

    Raises
    ------
    ConfigError
        If Lightning Fabric is not installed, or there are fewer devices than processes.
    """

    def __init__(self, *, processes: int, **settings: Any) -> None:
        check_count("trainer.processes", processes, least=2)
        super().__init__(**settings)
        if find_spec("lightning_fabric") is None:
            raise ConfigError(
                "trainer=distributed needs Lightning Fabric; install it with: "
                "pip install 'dagrec[fabric]'."
            )
        if self.device.type == "cuda":
            find_device(f"cuda:{processes - 1}")
        self.processes = processes
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

        given = (self, model, loss, sampler, pairs, generator.initial_seed())
        n_threads = torch.get_num_threads()
        torch.set_num_threads(max(1, n_threads // self.processes))
        try:
            with team(self.processes, self.device.type, _train_along, *given) as self._team:
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
        self._team = team
        if self.device.type == "cuda":
            self.device = torch.device("cuda", team.rank)
        with suppress(TrainingError):  # the first process says it
            super().fit(model, loss, sampler, pairs, History(), generator=generator)

    def batches(
        self, pairs: TrainingPairs, chosen: NDArray[np.int32], total: float
    ) -> Iterator[Batch]:
        """Yield this process's share of each batch; without one, rows that weigh nothing."""
        for batch in cut(chosen, self.batch_size):
            mine = batch[self._rank :: self.processes]
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

    @property
    def _member(self) -> "Team":
        assert self._team is not None, "outside of fit"
        return self._team

    @property
    def _rank(self) -> int:
        return self._member.rank

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


def _train_along(
    team: "Team",
    trainer: Distributed,
    model: TorchModel,
    loss: Loss,
    sampler: Sampler,
    pairs: TrainingPairs,
    seed: int,
) -> None:
    """Be one of the other processes: the same training, with nothing to watch or keep."""
    torch.set_num_threads(max(1, torch.get_num_threads() // trainer.processes))
    own = deepcopy(model)  # the first process's weights came in memory that it still uses
    trainer.train_along(team, own, loss, sampler, pairs, Generator().manual_seed(seed))
