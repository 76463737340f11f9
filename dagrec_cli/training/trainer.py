"""The training loop, one for all trainers; they differ in which batches make a step.

Source: PAPER §5.
Differs from the source: equal pairs are one weighted row and a distinct context is encoded once,
unless ``distinct_contexts`` is false. The loss is the same number; dropout is drawn per distinct
context.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_

from dagrec_cli.config.kinds import Count, Natural, NotNegative, OneOf, Positive, Probability, Share
from dagrec_cli.config.metric_names import Metric
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import Loss
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import TrainingPairs
from dagrec_cli.training.hardware import Precision, casting, find_device
from dagrec_cli.training.optimizers import DECAYS, OPTIMIZERS, Optimizer, Rule, Schedule
from dagrec_cli.training.state import EarlyStopping, TrainingState, TrainingTask
from dagrec_cli.training.step import BatchLoss

Objective = Callable[[Any], Tensor]  # of a batch of the trainer's own kind, or of a Batch
FitOn = Literal["train", "all"]


class TrainingStep(NamedTuple):
    """One optimisation step.

    Attributes
    ----------
    share
        Share of the epoch's weight that its rows have.
    batches
        Their gradients add up; read once, one at a time. Of the kind that the objective reads.
    """

    share: float
    batches: Iterable[Any]


class Callback:
    """What a training asks of whoever runs it, and tells them; this one neither knows nor minds."""

    @property
    def is_stopping(self) -> bool:
        """Whether training is to end now; asked after each epoch."""
        return False

    def load(self, state: TrainingState) -> None:
        """Bring a new training to where an earlier one was saved."""

    def save(self, state: TrainingState) -> None:
        """Save a training: at its end, when it stops, and between as often as its setting says."""

    def validate(self) -> dict[str, float]:
        """Return validation metrics of the model as it is; none without validation pairs."""
        return {}

    def epoch_ended(self, state: TrainingState) -> None:
        """Take in the newest row of the history, validation included."""


NOTHING = Callback()


@dataclass(kw_only=True)
class Trainer(ABC):
    """Steps of an optimiser, gradient norm clipped.

    Parameters
    ----------
    epochs
        Passes over the training pairs, 1 and up.
    optimizer
        ``adam``, ``adamw``, ``adagrad`` or ``sgd``.
    learning_rate
        The optimiser's step size, above 0 (0 trains nothing and is allowed).
    weight_decay
        Pull of all weights to 0, 0 and up: in the gradient, with ``adamw`` a shrink of its own.
    momentum
        Share of the sum of gradients that ``sgd`` keeps from step to step, ``[0, 1)``.
    schedule
        The learning rate over the training: ``constant``, or ``linear`` or ``cosine`` down to 0.
    warmup
        Share of the training in which the learning rate rises from 0, ``[0, 1)``.
    gradient_clip
        Largest gradient norm, above 0.
    distinct_contexts
        False for one row per pair, as the paper has it.
    repeat_alpha
        In the loss and in counts, ``k`` equal steps of one unit that the split keeps apart are
        worth ``k ** repeat_alpha``, ``[0, 1]``; one each with one row per pair. Models that count
        obey it.
    validation_share, validation_draw
        Share of the training pairs held out by the split's own rule, ``[0, 1)``; 0 trains on all.
        Which draw of them, 0 and up; only 0 with a split that draws nothing.
    validate_every
        Epochs between two validations.
    monitor
        Validation metric, higher is better, whose best epoch is chosen.
    refit
        Whether the model is then trained anew, on all training pairs and for as many epochs, which
        is kept; else the weights of the best epoch are. Epochs keep their learning rates and are
        passes over the pairs, of some more mini-batches. Not with ``evaluate_on=validation``.
    patience, patience_steps
        Validations, and at least as many steps, without a new best before training stops; patience
        0 never stops early.
    checkpoint_every
        Epochs between two checkpoints; 0 keeps one at the end only, or when interrupted.
    device
        ``auto``, ``cpu`` or ``cuda[:n]``.
    precision
        ``32``, or ``bf16``: the model computes in bfloat16 where torch holds that safe.
    fit_on
        ``train``, or ``all`` to fit a final model on all steps once the run is evaluated, for as
        many epochs as the evaluated one kept. Models that count obey it, too.

    Raises
    ------
    ConfigError
        If the device is absent, or two settings do not go together.
    """

    epochs: Count
    optimizer: Annotated[str, OneOf(OPTIMIZERS)]
    learning_rate: NotNegative
    weight_decay: NotNegative
    momentum: Share
    schedule: Annotated[str, OneOf(DECAYS)]
    warmup: Share
    gradient_clip: Positive
    distinct_contexts: bool
    repeat_alpha: Probability
    validation_share: Share
    validation_draw: Natural
    validate_every: Count
    monitor: Metric
    refit: bool
    patience: Natural
    patience_steps: Natural
    checkpoint_every: Natural
    device: str
    precision: Precision
    fit_on: FitOn

    in_file_order: ClassVar[bool] = False  # of the rows; else as the split has them
    brings_negatives: ClassVar[bool] = False  # so that a loss of samples needs no sampler

    def __post_init__(self) -> None:
        find_device(self.device)
        if self.patience and not self.validation_share:
            raise ConfigError(
                "trainer.patience needs validation pairs but trainer.validation_share is 0; "
                "use trainer.validation_share=0.2, or trainer.patience=0."
            )
        if self.momentum and not self.rule.has_momentum:
            raise ConfigError(
                f"trainer.momentum is {self.momentum} but {self.optimizer} has no momentum to set; "
                "use trainer.optimizer=sgd, or trainer.momentum=0."
            )

    @property
    def rule(self) -> Rule:
        """How a step changes weights."""
        return OPTIMIZERS[self.optimizer]

    def check(self, model: type, loss: Loss, sampler: Sampler) -> None:
        """Raise ConfigError if this trains no such model, or not by such a loss or sampler."""
        _ = model, loss, sampler  # any will do

    @abstractmethod
    def steps(self, pairs: TrainingPairs, epoch: int, seed: int) -> Iterator[TrainingStep]:
        """Yield the optimisation steps of an epoch; seed and epoch decide their order."""

    def objective(self, task: TrainingTask) -> Objective:
        """Return the function of a batch that training makes small."""
        precision = casting(self.precision, task.pairs.device)
        return BatchLoss(task.model, task.loss, task.sampler, task.generator, precision)

    def fit(self, task: TrainingTask, callback: Callback = NOTHING) -> None:
        """Train a model; afterwards it is on the CPU.

        Parameters
        ----------
        callback
            Where training starts, what it is validated on, who watches it.

        Raises
        ------
        TrainingError
            If loss or gradient is not finite; the model then holds the last weights whose loss was.
        KeyboardInterrupt
            If the callback asks to stop; the model holds the last epoch's weights, which are saved.
        """
        task, model = task.on(find_device(self.device)), task.model
        n_epochs = task.epochs or self.epochs
        task.sampler.prepare(task.pairs.counts(model.facts.n_services))
        best = EarlyStopping(model, self.monitor, self.patience, self.patience_steps)
        settings = {"weight_decay": self.weight_decay, "momentum": self.momentum}
        optimizer = Optimizer(self.rule, model.parameters(), self.learning_rate, **settings)
        state = TrainingState(task, optimizer, best)
        callback.load(state)
        objective = self.objective(task)
        try:
            while state.epoch < n_epochs and not best.is_over:
                self._epoch(state, objective, task.pairs)
                self._end_epoch(state, callback, n_epochs)
            if best.copy:
                best.copy.restore()
                task.history.best_epoch = best.epoch
        finally:
            state.take_time()
            model.cpu()

    def _end_epoch(self, state: TrainingState, callback: Callback, n_epochs: int) -> None:
        """Validate, report and save; end the training if the callback asks for it."""
        epoch, row = state.epoch, state.history.rows[-1]
        if epoch % self.validate_every == 0 and (metrics := callback.validate()):
            row |= {f"validation_{name}": number for name, number in metrics.items()}
            state.best.see(epoch, metrics)
        callback.epoch_ended(state)
        is_stopping = callback.is_stopping
        is_last = epoch == n_epochs or state.best.is_over
        is_due = bool(self.checkpoint_every) and epoch % self.checkpoint_every == 0
        if is_stopping or is_last or is_due:
            callback.save(state)
        if is_stopping:
            raise KeyboardInterrupt

    def _epoch(self, state: TrainingState, objective: Objective, pairs: TrainingPairs) -> None:
        """Train for one epoch and add its row to the history."""
        began = time.perf_counter()
        if not state.model.training:  # telling every part again costs as much as a small step
            state.model.train()
        schedule = Schedule(self.schedule, self.warmup)
        mean = over = 0.0  # mean loss, and share of the epoch that is over
        for number, step in enumerate(self.steps(pairs, state.epoch + 1, state.seed)):
            state.optimizer.zero_grad()
            loss = 0.0
            for batch in step.batches:
                value = objective(batch)
                value.backward()  # type: ignore[no-untyped-call]
                loss += value.item()
            norm = self.norm(state.optimizer.parameters)
            if not (isfinite(loss) and isfinite(norm)):
                self._give_up(state, loss, norm)
            # A finite loss is what tells that the weights it was computed with are good; those in
            # the middle of an epoch are no place to go back to.
            if number == 0:
                state.good.take()
                state.good_epoch = state.epoch
            start, end = (state.epoch + share for share in (over, over + step.share))
            factor = schedule.factor(start / self.epochs, end / self.epochs)
            state.optimizer.learning_rate = self.learning_rate * factor
            over += step.share
            try:
                state.optimizer.step()
            except RuntimeError as error:  # a step that 32 bits cannot hold
                if "overflow" not in str(error):
                    raise
                self._give_up(state, loss, norm)
            mean += loss * step.share
            state.best.waited_steps += 1
        state.epoch = state.history.best_epoch = state.epoch + 1
        seconds = time.perf_counter() - began
        state.history.rows.append({"epoch": state.epoch, "loss": mean, "seconds": seconds})

    def norm(self, weights: list[Parameter]) -> float:
        """Clip the gradient, and return its norm before."""
        return clip_grad_norm_(weights, self.gradient_clip).item()

    def _give_up(self, state: TrainingState, loss: float, norm: float) -> None:
        state.good.restore()
        state.history.best_epoch = state.good_epoch
        raise TrainingError(
            f"epoch {state.epoch + 1}: the loss is {loss}, its gradient {norm}; the weights of "
            f"epoch {state.good_epoch} are kept; try a smaller trainer.learning_rate "
            f"(now {self.learning_rate})."
        )


class FullBatch(Trainer):
    """Steps over the whole training set; settings as in :class:`Trainer`."""

    def steps(self, pairs: TrainingPairs, epoch: int, seed: int) -> Iterator[TrainingStep]:
        """Yield the one step of every epoch."""
        yield TrainingStep(1.0, [pairs.whole])
