"""Full-batch training: one step per epoch over all training pairs.

Source: PAPER §5.
Differs from the source: equal pairs are one weighted row and a distinct context is encoded once,
unless ``distinct_contexts`` is false. The loss is the same number; dropout is drawn per distinct
context.
"""

from collections.abc import Iterator

from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.trainer import Step, Trainer


class FullBatch(Trainer):
    """Steps over the whole training set; settings as in :class:`Trainer`."""

    def steps(self, pairs: TrainingPairs, epoch: int, seed: int) -> Iterator[Step]:
        """Yield the one step of every epoch."""
        yield Step(1.0, [pairs.whole])
