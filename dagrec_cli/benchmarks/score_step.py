"""What the benchmarks of a training step share: scores and a loss over a large catalogue.

The model has no encoder: a context's state is a parameter, so that scoring and loss are all the
work. A step is the loss and its gradients; the optimiser costs both ways the same and is left out.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from dagrec_cli.benchmarks.base import Case, require_close
from dagrec_cli.benchmarks.catalogue import one_row_per_context, sparse_catalogue
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import Facts, TorchModel
from dagrec_cli.models.contexts import Contexts
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch
from dagrec_cli.training.step import batch_loss

CONTEXTS = 1000
SUCCESSORS = 10
HIDDEN = 128
TOLERANCE = 1e-5


class StateTable(TorchModel):
    """A state per context, learned; ``encode`` returns all of them."""

    def __init__(self, facts: Facts, *, contexts: int, hidden: int) -> None:
        super().__init__(facts, hidden=hidden, dag_mask=True)
        self.states = nn.Parameter(torch.randn(contexts, hidden))

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the states, whatever the contexts are."""
        return self.states


class ScoreStep:
    """One pair per context, and a model to train on it.

    Parameters
    ----------
    services
        Size of the catalogue.
    seed
        Of weights and pairs.
    """

    def __init__(self, services: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        torch.manual_seed(seed)
        dataset = sparse_catalogue(rng, contexts=CONTEXTS, services=services, successors=SUCCESSORS)
        facts = Facts(dataset.vocabulary, dataset.graph(), longest_context=1)
        self.model = StateTable(facts, contexts=CONTEXTS, hidden=HIDDEN)
        rows = one_row_per_context(rng, dataset)
        self.batch = Batch.of(dataset, rows, self.model.mask, distinct=True)

    def case(self, plain_loss: Callable[[], Tensor], loss: Loss, sampler: Sampler) -> Case:
        """Return the plain loss against the project's, each with its gradients."""

        def step(value: Callable[[], Tensor]) -> list[Tensor]:
            self.model.zero_grad()
            number = value()
            number.backward()  # type: ignore[no-untyped-call]
            gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
            return [number.detach(), *gradients]

        def fast_loss() -> Tensor:
            return batch_loss(self.model, loss, sampler, self.batch, Generator())

        def check() -> None:
            names = ["loss", *(f"gradient of {name}" for name, _ in self.model.named_parameters())]
            for name, plain, fast in zip(names, step(plain_loss), step(fast_loss), strict=True):
                require_close(name, plain, fast, TOLERANCE)

        return Case(lambda: step(plain_loss), lambda: step(fast_loss), check)
