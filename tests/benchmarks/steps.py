"""A training step over a large catalogue: all services scored, or no more than the loss needs.

The plain ways are PAPER §3-4: every score is computed; then the forbidden ones become -1e9
(:class:`CeStep`), or positive and negatives are picked (:class:`BprStep`). The model has no
encoder: a context's state is a parameter, so that scoring and loss are all the work. The optimiser
costs both ways the same and is left out.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.base import Benchmark, Case, require_all_close
from benchmarks.catalogue import one_row_per_context, sparse_catalogue
from benchmarks.training import step_of
from dagrec_cli.losses.base import Loss
from dagrec_cli.losses.bpr import BPR
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.dag_mask import AllowedServices
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.samplers.popularity import PopularitySampler
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.step import BatchLoss

CONTEXTS = 1000
SUCCESSORS = 10
HIDDEN = 128
N_SAMPLE = 2048
SAMPLE_ALPHA = 0.75
FORBIDDEN = -1e9


class StateTable(TorchModel):
    """A state per context, learned; ``encode`` returns all of them."""

    def __init__(self, facts: Facts, *, contexts: int, hidden: int) -> None:
        drops = {"edge_dropout": 0.0, "node_dropout": 0.0, "owner_dropout": 0.0}
        super().__init__(facts, hidden=hidden, mask="hard", owner="none", **drops)
        self.table = nn.Parameter(torch.randn(contexts, hidden))

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the states, whatever the contexts are."""
        return self.table


class StepBenchmark(Benchmark):
    """1,000 contexts with 10 successors each, one pair for each; sizes count the services."""

    unit = "services"
    sizes = (10_000, 100_000)

    def inputs(self, services: int) -> tuple[StateTable, Batch]:
        """Return a model and a batch."""
        rng = np.random.default_rng(self.config.seed)
        torch.manual_seed(self.config.seed)
        dataset = sparse_catalogue(rng, contexts=CONTEXTS, services=services, successors=SUCCESSORS)
        facts = Facts(dataset.vocabulary, dataset.graph(), dataset.followed)
        model = StateTable(facts, contexts=CONTEXTS, hidden=HIDDEN)
        rows = one_row_per_context(rng, dataset)
        return model, TrainingPairs.of(dataset, rows, model.hard_mask, distinct=True).whole


class CeStep(StepBenchmark):
    """Masked cross-entropy: all services scored, or each context's successors only."""

    target = 50

    def case(self, size: int) -> Case:
        """Fill the plain way's mask before the clock starts."""
        model, batch = self.inputs(size)
        forbidden = torch.from_numpy(~model.facts.graph.allowed(batch.contexts.last.numpy(), size))

        def plain_loss() -> Tensor:
            return cross_entropy(scores(model).masked_fill(forbidden, FORBIDDEN), batch.target)

        return case(model, batch, plain_loss, CrossEntropy(label_smoothing=0.0), NoSampler())


class BprStep(StepBenchmark):
    """BPR with 2,048 samples per context, drawn once by count ** 0.75; both ways get the same."""

    target = 5

    def case(self, size: int) -> Case:
        """Draw the negatives of Zipf-distributed counts."""
        model, batch = self.inputs(size)
        sampler = DrawnOnce(n_sample=N_SAMPLE, sample_alpha=SAMPLE_ALPHA, exclude_target=True)
        sampler.prepare(1 / torch.arange(1.0, size + 1))
        sampler.draw(batch.target, Generator().manual_seed(self.config.seed))

        def plain_loss() -> Tensor:
            every = scores(model)
            positive = every.gather(1, batch.target[:, None])
            negative = every.gather(1, sampler.negatives)
            return -torch.log(torch.sigmoid(positive - negative) + 1e-24).mean()

        return case(model, batch, plain_loss, BPR(), sampler)


class DrawnOnce(PopularitySampler):
    """Negatives drawn beforehand and given out again and again."""

    def draw(self, target: Int[Tensor, " rows"], generator: Generator) -> None:
        """Draw the negatives."""
        self.negatives = super().sample(target, generator)

    def sample(
        self,
        target: Int[Tensor, " rows"],
        generator: Generator,
        choices: AllowedServices | None = None,
    ) -> Int[Tensor, "rows samples"]:
        """Return what was drawn."""
        return self.negatives


def scores(model: StateTable) -> Float[Tensor, "contexts services"]:
    """Return the score of every service."""
    return model.table @ model.head.weight.T + model.head.bias


def case(
    model: StateTable,
    batch: Batch,
    plain_loss: Callable[[], Tensor],
    loss: Loss,
    sampler: Sampler,
) -> Case:
    """Return the plain loss against the project's, each with its gradients."""

    def plain() -> Mapping[str, Tensor]:
        return step_of(model, plain_loss())

    def fast() -> Mapping[str, Tensor]:
        return step_of(model, BatchLoss(model, loss, sampler, Generator())(batch))

    return Case(plain, fast, lambda: require_all_close(plain(), fast()))
