"""Mini-batch training: several steps per epoch, each over some of the contexts.

Source: Bottou et al., "Optimization Methods for Large-Scale Machine Learning", SIAM Review 2018,
§4, with any optimiser for the step.
Differs from the source: a batch counts distinct contexts, and all pairs of a context come with it,
weighted by how often they occur. Contexts are shuffled in blocks of neighbours, so that a
batch steps over what they share once.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagrec_cli.config.kinds import Count
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.trainer import Trainer, TrainingStep


@dataclass(kw_only=True)
class MiniBatch(Trainer):
    """Steps over shuffled batches of contexts; further settings as in :class:`Trainer`.

    Parameters
    ----------
    batch_size
        Contexts encoded at once, 1 and up; the last batch of an epoch may have fewer.
    accumulate
        Batches whose gradients add up to one step, 1 and up. The step is that of one batch
        ``accumulate`` times as large, for the memory of the small one.
    blocks_per_step
        Blocks of neighbouring contexts that make a step, 1 and up; as many as the step has contexts
        for a wholly random order.
    """

    batch_size: Count
    accumulate: Count
    blocks_per_step: Count

    def steps(self, pairs: TrainingPairs, epoch: int, seed: int) -> Iterator[TrainingStep]:
        """Yield steps over blocks of contexts in an order that seed and epoch decide."""
        rng = np.random.default_rng([seed, epoch])
        size = self.batch_size * self.accumulate
        block = max(1, size // self.blocks_per_step)
        order = pairs.depth_first[shuffled_blocks(len(pairs.size), block, rng)]
        for chosen in cut(order.astype(np.int32), size):
            # Contexts are drawn, and their pairs weigh differently: a step counts by its weight.
            total = float(pairs.weight_of[chosen].sum())
            yield TrainingStep(total / pairs.total, self.batches(pairs, chosen, total))

    def batches(
        self, pairs: TrainingPairs, chosen: NDArray[np.int32], total: float
    ) -> Iterator[Batch]:
        """Yield a step's batches one by one; ``total`` is the weight of all their rows."""
        return (pairs.batch(part, total) for part in cut(chosen, self.batch_size))


def shuffled_blocks(n: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers below ``n``, blocks of ``size`` neighbours together, blocks in any order.

    Where blocks begin is drawn too, so that the first and the last may be shorter.
    """
    # n = 7, size = 3, shift 2:  number  0 1 2 3 4 5 6
    #                            block   0 1 1 1 2 2 2     drawn order of blocks: 2, 0, 1
    #                            rank    1 2 2 2 0 0 0     and sorted by it: 4 5 6 0 1 2 3
    block = (np.arange(n) + rng.integers(size)) // size
    rank: NDArray[np.int64] = rng.permutation(block[-1] + 1)[block]
    return np.argsort(rank, kind="stable")


def cut(order: NDArray[np.int32], size: int) -> Iterator[NDArray[np.int32]]:
    """Yield consecutive pieces of ``size`` entries, the last of which may have fewer."""
    return (order[start : start + size] for start in range(0, len(order), size))
