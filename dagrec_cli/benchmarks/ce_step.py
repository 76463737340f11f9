"""A masked cross-entropy step in a large catalogue: all services scored, or successors only.

The plain way is PAPER §3-4: every score is computed and the forbidden ones become -1e9.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from dagrec_cli.benchmarks.base import Benchmark, Case
from dagrec_cli.benchmarks.score_step import ScoreStep
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.samplers.none import NoSampler

FORBIDDEN = -1e9


class CeStep(Benchmark):
    """1,000 contexts with 10 successors each; sizes count the services."""

    unit = "services"
    sizes = (10_000, 100_000)
    target = 50

    def case(self, size: int) -> Case:
        """Fill the plain way's mask before the clock starts."""
        given = ScoreStep(size, self.config.seed)
        model, batch = given.model, given.batch
        forbidden = torch.from_numpy(~model.facts.graph.allowed(batch.contexts.last.numpy(), size))

        def plain_loss() -> Tensor:
            scores = model.states @ model.head.weight.T + model.head.bias
            return cross_entropy(scores.masked_fill(forbidden, FORBIDDEN), batch.target)

        return given.case(plain_loss, CrossEntropy(label_smoothing=0.0), NoSampler())
