"""Training in several processes, each with a share of every batch (data parallel).

Source: Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB
2020, as torch has it.
Differs from the source: shares may be uneven, since every row counts the same: a process divides by
the weight of the whole step, not of its share.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from dagrec_cli.config.kinds import TwoOrMore
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import TorchModel
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.checkpoint import pack_checkpoint, unpack_checkpoint
from dagrec_cli.training.hardware import find_device
from dagrec_cli.training.mini_batch import MiniBatch, cut
from dagrec_cli.training.ranks import from_first, launched_rank, process_group
from dagrec_cli.training.state import TrainingState, TrainingTask
from dagrec_cli.training.trainer import NOTHING, Callback, Objective

Processes = TwoOrMore | Literal["auto"]


@dataclass(kw_only=True)
class Distributed(MiniBatch):
    """Mini-batches dealt out to processes, which average their gradients.

    The model is that of :class:`MiniBatch` with the same ``batch_size``, up to rounding and the
    random numbers of dropout and sampling. A resumed run needs the same number of processes.

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
        If there are fewer devices than processes, or a launcher started another number of
        processes.
    """

    processes: Processes

    def __post_init__(self) -> None:
        super().__post_init__()
        here, asked = launched_rank(), self.processes
        self.n_ranks = (here.n_ranks if here else 2) if asked == "auto" else asked
        if here and here.n_ranks != self.n_ranks:
            raise ConfigError(
                f"trainer.processes is {asked} but torchrun or srun started {here.n_ranks}; "
                "use trainer.processes=auto."
            )
        if here and not distributed.is_initialized():
            raise ConfigError(
                "torchrun or srun started this process, but its group is not there; name "
                "trainer=distributed on the command line, also beside resume=FOLDER, or start "
                "again if a process has died."
            )
        if not here and find_device(self.device).type == "cuda":
            find_device(f"cuda:{self.n_ranks - 1}")

    def fit(self, task: TrainingTask, callback: Callback = NOTHING) -> None:
        """Train a model, see :meth:`Trainer.fit`; the other processes end with it.

        Raises
        ------
        TrainingError
            Also if one of the processes dies.
        """
        n_threads = torch.get_num_threads()
        n_each = n_threads if launched_rank() else max(1, n_threads // self.n_ranks)
        try:
            with process_group(self.n_ranks):
                from_first((self.fit_rank, task, OtherRank(), n_each))
                self.fit_rank(task, FirstRank(callback), n_each)
        finally:
            torch.set_num_threads(n_threads)

    def fit_rank(self, task: TrainingTask, callback: Callback, n_threads: int) -> None:
        """Train as one rank of the group, on a device of its own."""
        torch.set_num_threads(n_threads)
        if find_device(self.device).type == "cuda":
            here = launched_rank()
            self.device = f"cuda:{here.local_rank if here else distributed.get_rank()}"
            torch.cuda.set_device(self.device)  # or every rank keeps something on the first one too
        super().fit(task, callback)

    def batches(
        self, pairs: TrainingPairs, chosen: NDArray[np.int32], total: float
    ) -> Iterator[Batch]:
        """Yield this rank's share of each batch; without one, rows that weigh nothing."""
        rank = distributed.get_rank()
        for batch in cut(chosen, self.batch_size):
            share = np.array_split(batch, self.n_ranks)[rank]  # neighbours stay together
            # Gradients are averaged over ranks: a mean of sums over total / n is their sum / total.
            rows = pairs.batch(share if len(share) else batch[:1], total / self.n_ranks)
            yield rows if len(share) else rows._replace(weight=torch.zeros_like(rows.weight))

    def objective(self, task: TrainingTask) -> Objective:
        """Return the function of a batch whose value and gradients are means over the ranks."""
        module = _MeanOverRanks(task.model, super().objective(task))
        return DistributedDataParallel(module, find_unused_parameters=True)


class FirstRank(Callback):
    """Hands the other ranks what they need of a callback: where to start, and validations."""

    def __init__(self, callback: Callback) -> None:
        self.callback = callback

    @property
    def is_stopping(self) -> bool:
        """See :class:`Callback`."""
        return self.callback.is_stopping

    def load(self, state: TrainingState) -> None:
        """Bring all ranks to the same state."""
        self.callback.load(state)
        from_first(pack_checkpoint(state.checkpoint()))

    def save(self, state: TrainingState) -> None:
        """See :class:`Callback`."""
        self.callback.save(state)

    def validate(self) -> dict[str, float]:
        """Let all ranks see the same metrics, so that early stopping stops all."""
        metrics: dict[str, float] = from_first(self.callback.validate())
        return metrics

    def epoch_ended(self, state: TrainingState) -> None:
        """See :class:`Callback`."""
        self.callback.epoch_ended(state)


class OtherRank(Callback):
    """Follows rank 0, with dropout and samples of its own: the same ones if the run is resumed."""

    def load(self, state: TrainingState) -> None:
        """Start where rank 0 does."""
        state.load(unpack_checkpoint(from_first()))
        self.epoch_ended(state)

    def validate(self) -> dict[str, float]:
        """Return what rank 0 found."""
        metrics: dict[str, float] = from_first()
        return metrics

    def epoch_ended(self, state: TrainingState) -> None:
        """Seed the next epoch by its number and the rank's."""
        entropy = [state.seed, distributed.get_rank(), state.epoch]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        torch.manual_seed(seed)
        state.generator.manual_seed(seed)


class _MeanOverRanks(nn.Module):
    """A model's loss as a module, which is what DistributedDataParallel takes."""

    def __init__(self, model: TorchModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        # Batches may leave weights unused, which torch has to look for; it warns on standard error
        # if it never finds any. This one is always found.
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, batch: Batch) -> Tensor:
        value: Tensor = self.objective(batch)
        mean = value.detach().clone()
        distributed.all_reduce(mean)
        # The value is the mean, so that all ranks see the same loss; the gradient is this rank's,
        # which DistributedDataParallel averages.
        return mean / distributed.get_world_size() + (value - value.detach())
