"""A BPR step over a large catalogue: all services scored and picked from, against samples only.

The plain way is PAPER §4 and what it says of the reference: every score is computed, then positive
and negatives are picked. Negatives are drawn once, by count ** 0.75; both ways get the same.
"""

import torch
from jaxtyping import Int
from torch import Generator, Tensor

from dagrec_cli.benchmarks.base import Benchmark, Case
from dagrec_cli.benchmarks.score_step import ScoreStep
from dagrec_cli.losses.bpr import BPR
from dagrec_cli.models.layers.dag_mask import Choices
from dagrec_cli.samplers.popularity import PopularitySampler

N_SAMPLE = 2048
SAMPLE_ALPHA = 0.75


class BprStep(Benchmark):
    """1,000 contexts, 2,048 samples for each; sizes count the services."""

    unit = "services"
    sizes = (10_000, 100_000)
    target = 5

    def case(self, size: int) -> Case:
        """Draw the negatives of Zipf-distributed counts."""
        given = ScoreStep(size, self.config.seed)
        model, batch = given.model, given.batch
        sampler = DrawnOnce(n_sample=N_SAMPLE, sample_alpha=SAMPLE_ALPHA, exclude_target=True)
        sampler.prepare(1 / torch.arange(1.0, size + 1))
        sampler.draw(batch.target, torch.Generator().manual_seed(self.config.seed))

        def plain_loss() -> Tensor:
            scores = model.states @ model.head.weight.T + model.head.bias
            positive = scores.gather(1, batch.target[:, None])
            negative = scores.gather(1, sampler.negatives)
            return -torch.log(torch.sigmoid(positive - negative) + 1e-24).mean()

        return given.case(plain_loss, BPR(), sampler)


class DrawnOnce(PopularitySampler):
    """Negatives drawn beforehand and given out again and again."""

    def draw(self, target: Int[Tensor, " rows"], generator: Generator) -> None:
        """Draw the negatives."""
        self.negatives = super().sample(target, generator)

    def sample(
        self,
        target: Int[Tensor, " rows"],
        generator: Generator,
        choices: Choices | None = None,
    ) -> Int[Tensor, "rows samples"]:
        """Return what was drawn."""
        return self.negatives
