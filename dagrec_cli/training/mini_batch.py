"""Mini-batch training: several steps per epoch, each over some of the contexts.

Source: Bottou et al., "Optimization Methods for Large-Scale Machine Learning", SIAM Review 2018,
§4, with Adam for the step.
Differs from the source: a batch counts distinct contexts, and all pairs of a context come with it,
weighted by how often they occur.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.limits import check_count
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.trainer import Step, Trainer


class MiniBatch(Trainer):
    """Adam over shuffled batches of contexts; further settings as in :class:`Trainer`.

    Parameters
    ----------
    batch_size
        Contexts encoded at once, 1 and up; the last batch of an epoch may have fewer.
    accumulate
        Batches whose gradients add up to one step, 1 and up. The step is that of one batch
        ``accumulate`` times as large, for the memory of the small one.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    def __init__(self, *, batch_size: int, accumulate: int, **settings: Any) -> None:
        check_count("trainer.batch_size", batch_size)
        check_count("trainer.accumulate", accumulate)
        super().__init__(**settings)
        self.batch_size = batch_size
        self.accumulate = accumulate

    def steps(self, pairs: TrainingPairs, epoch: int, seed: int) -> Iterator[Step]:
        """Yield steps over contexts in an order that seed and epoch decide."""
        order = np.random.default_rng([seed, epoch]).permutation(len(pairs.entries))
        for chosen in cut(order.astype(np.int32), self.batch_size * self.accumulate):
            total = float(pairs.weight_of[chosen].sum())
            yield Step(total / pairs.total, self.batches(pairs, chosen, total))

    def batches(
        self, pairs: TrainingPairs, chosen: NDArray[np.int32], total: float
    ) -> Iterator[Batch]:
        """Yield a step's batches one by one; ``total`` is the weight of all their rows."""
        return (pairs.batch(each, total) for each in cut(chosen, self.batch_size))


def cut(order: NDArray[np.int32], size: int) -> Iterator[NDArray[np.int32]]:
    """Yield consecutive pieces of ``size`` entries, the last of which may have fewer."""
    return (order[start : start + size] for start in range(0, len(order), size))
