"""Training as the authors of GRU4Rec have it: sessions side by side, a node of each at a time.

Each step goes back one node: states are carried, gradients are not. A score's negatives are what
follows in the other sessions, and nodes that all of them share.

Source: Hidasi & Karatzoglou, "Recurrent Neural Networks with Top-k Gains for Session-based
Recommendations", CIKM 2018, §2.2, §3, and the authors' code for PyTorch
(hidasib/GRU4Rec_PyTorch_Official), whose Adagrad this is.
Differs from the source: a session is what training rows make of it, see
:mod:`dagrec_cli.training.sessions`, and what is no training row is no target; sessions begin in the
order of the file; with fewer sessions than slots there are fewer slots; no gradient is lost where
a target's probability is below 1e-24; in the last, smaller steps logq tells targets from nodes that
were drawn. These are drawn afresh each epoch, which thus depends on weights and its number alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import Parameter

from dagrec_cli.config.kinds import Count, Natural, NotNegative
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import CatalogueLoss, Loss, SampledLoss
from dagrec_cli.losses.bpr_max import BPRMax
from dagrec_cli.losses.ce import CrossEntropy
from dagrec_cli.models.gru4rec_official import GRU4RecOfficial
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.hardware import Precision
from dagrec_cli.training.optimizers import ADAGRAD_WITH_MOMENTUM, Rule
from dagrec_cli.training.sessions import NONE, NOTHING_DRAWN, Sessions, Slots
from dagrec_cli.training.state import TrainingTask
from dagrec_cli.training.trainer import Objective, Trainer, TrainingStep

STORED = 2**20  # nodes drawn at once for the steps to come


@dataclass(kw_only=True)
class SessionParallel(Trainer):
    """Steps over sessions side by side; further settings as in :class:`Trainer`.

    Parameters
    ----------
    batch_size
        Sessions side by side, 1 and up; the sum of a step's losses is divided by it.
    momentum
        Share of the last step that the next one keeps, ``[0, 1)``.
    n_sample
        Nodes drawn for each step, as negatives of all its sessions, 0 and up.
    sample_alpha
        They are drawn by their count in the sessions to this power, 0 and up.
    logq
        With cross-entropy, this much of log count is taken from each score, 0 and up; of nodes that
        are drawn, count to the power of ``sample_alpha``.
    elu
        With BPR-max, alpha of the exponential linear units through which all scores go, 0 and up;
        0 leaves scores as they are.
    """

    batch_size: Count
    n_sample: Natural
    sample_alpha: NotNegative
    logq: NotNegative
    elu: NotNegative
    # The authors have none of these, or one alone.
    optimizer: str = field(init=False, default="adagrad")
    weight_decay: float = field(init=False, default=0.0)
    gradient_clip: float = field(init=False, default=float("inf"))
    distinct_contexts: bool = field(init=False, default=False)
    repeat_alpha: float = field(init=False, default=1.0)
    precision: Precision = field(init=False, default=32)

    in_file_order = True
    brings_negatives = True

    @property
    def rule(self) -> Rule:
        """The authors' Adagrad."""
        return ADAGRAD_WITH_MOMENTUM

    def check(self, model: type, loss: Loss, sampler: Sampler) -> None:
        """Raise ConfigError if these are not what sessions are trained with."""
        if not issubclass(model, GRU4RecOfficial):
            raise ConfigError(
                "trainer=session_parallel carries the states of model=gru4rec_official, and of no "
                "other model; use that, or trainer=mini_batch."
            )
        if not isinstance(loss, CrossEntropy | BPRMax):
            raise ConfigError("trainer=session_parallel has two losses; use loss=ce or bpr_max.")
        if self.logq and isinstance(loss, BPRMax):
            raise ConfigError(
                f"trainer.logq is {self.logq} but corrects loss=ce alone; use trainer.logq=0."
            )
        if sampler.n_sample:
            raise ConfigError(
                "trainer=session_parallel draws trainer.n_sample negatives itself; use "
                "sampler=none."
            )

    def objective(self, task: TrainingTask) -> Objective:
        """Return the loss of a step's sessions, which remembers their states."""
        if not isinstance(task.model, GRU4RecOfficial):
            raise TypeError(f"no GRU4RecOfficial: {type(task.model).__name__}")
        for module in task.model.modules():
            if isinstance(module, nn.Embedding):
                module.sparse = True  # a step changes the vectors it touches, and no others
        self._sessions = Sessions.of(task.pairs, task.model.facts.vocabulary)
        if len(self._sessions.size) < self._least:
            raise TrainingError(
                "there is one session alone, with no other to take negatives from; use "
                "trainer.n_sample=100."
            )
        return SessionLoss(self, task.model, task.loss, self._sessions.times)

    @property
    def _least(self) -> int:
        return 1 if self.n_sample else 2

    def steps(self, pairs: TrainingPairs, epoch: int, seed: int) -> Iterator[TrainingStep]:
        """Yield the steps, the same ones in each epoch; seed and epoch decide what is drawn."""
        steps = list(self._sessions.steps(self.batch_size, self._least))
        draws: Iterator[Tensor] = repeat(NOTHING_DRAWN)
        if self.n_sample:
            shape = min(len(steps), 1 + STORED // self.n_sample), self.n_sample
            rng = np.random.default_rng([seed, epoch])
            draws = self._sessions.draws(shape, self.sample_alpha, rng)
        for step in steps:
            slots = step._replace(drawn=next(draws))
            on_device = Slots(*(each.to(pairs.device) for each in slots))
            yield TrainingStep(1 / len(steps), [on_device])

    def norm(self, weights: list[Parameter]) -> float:
        """Return the gradient's norm, which the authors do not clip."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        values = [g.coalesce().values() if g.is_sparse else g for g in gradients]
        return nn.utils.get_total_norm(values).item()


class SessionLoss:
    """The summed loss of a step's sessions, divided by ``batch_size``; keeps their states.

    Parameters
    ----------
    rules
        What the loss is made of.
    times
        How often each node is there, by its index.
    """

    def __init__(
        self,
        rules: SessionParallel,
        model: GRU4RecOfficial,
        loss: Loss,
        times: Int[np.ndarray, " indices"],
    ) -> None:
        self.rules, self.model, self.loss = rules, model, loss
        self.states = model.zeros(0)
        device = self.states.device
        self.log_count = torch.from_numpy(times).to(device).clamp(min=1).float().log()
        service_nodes = model.facts.vocabulary.service_nodes
        self.service_nodes = torch.from_numpy(service_nodes).long().to(device)

    def __call__(self, slots: Slots) -> Tensor:
        """Return the loss of one step, after those before it."""
        carried = torch.cat([self.states, self.model.zeros(1)])[slots.before]  # -1 is the last row
        states = self.model.read(slots.node, carried)
        self.states = states.detach()
        is_trained = slots.target != NONE
        following = self.service_nodes[slots.target[is_trained]]
        scores = self.model.score(states[is_trained], torch.cat([following, slots.drawn]))
        if scores.shape[1] < 2:
            return scores.sum() * 0  # with nothing to compare with
        return self.of_scores(scores, following, slots.drawn).sum() / self.rules.batch_size

    def of_scores(
        self,
        scores: Float[Tensor, "rows candidates"],
        following: Int[Tensor, " rows"],
        drawn: Int[Tensor, " drawn"],
    ) -> Float[Tensor, " rows"]:
        """Return each row's loss; its target is the candidate of its own number."""
        if isinstance(self.loss, CatalogueLoss):
            if self.rules.logq:
                log_count = [
                    self.log_count[following],
                    self.rules.sample_alpha * self.log_count[drawn],
                ]
                scores = scores - self.rules.logq * torch.cat(log_count)
            return self.loss(scores, torch.arange(len(scores), device=scores.device))
        assert isinstance(self.loss, SampledLoss)
        if self.rules.elu:
            scores = nn.functional.elu(scores, self.rules.elu)
        is_negative = torch.ones_like(scores, dtype=torch.bool).fill_diagonal_(fill_value=False)
        negatives = scores[is_negative].view(len(scores), scores.shape[1] - 1)
        return self.loss(scores.diagonal()[:, None], negatives)
