"""The training loop, one for all trainers; they differ in which batches make a step."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import isfinite
from typing import Annotated, NamedTuple

from torch import Generator, Tensor
from torch.nn.utils import clip_grad_norm_

from dagrec_cli.config.kinds import Count, Natural, NotNegative, OneOf, Positive, Share
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch, TrainingPairs
from dagrec_cli.training.early_stopping import EarlyStopping
from dagrec_cli.training.hardware import Precision, casting, find_device
from dagrec_cli.training.history import History
from dagrec_cli.training.interrupt import Brake
from dagrec_cli.training.optimizers import OPTIMIZERS, optimizer_named
from dagrec_cli.training.schedule import DECAYS, Schedule
from dagrec_cli.training.state import Keeper, State
from dagrec_cli.training.step import batch_loss

Watch = Callable[[dict[str, float]], None]
Validate = Callable[[], dict[str, float]]
Objective = Callable[[Batch], Tensor]


class Step(NamedTuple):
    """One optimisation step.

    Attributes
    ----------
    share
        Share of the epoch's weight that its rows have.
    batches
        Their gradients add up; read once, one at a time.
    """

    share: float
    batches: Iterable[Batch]


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
        Pull of all weights towards 0, 0 and up: added to the gradient, but with ``adamw`` a shrink
        of its own.
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
    validation_share
        Share of the training pairs held out for validation, by the split's own rule, ``[0, 1)``;
        0 trains on all of them.
    validate_every
        Epochs between two validations.
    monitor
        Validation metric, higher is better, whose best epoch's weights are kept.
    patience
        Validations without a new best before training stops; 0 never stops early.
    checkpoint_every
        Epochs between two checkpoints; 0 keeps one at the end only, or when interrupted.
    device
        ``auto``, ``cpu`` or ``cuda[:n]``.
    precision
        ``32``, or ``bf16`` to let the model compute in bfloat16 where torch holds that safe.

    Raises
    ------
    ConfigError
        If the device is absent, patience is asked for without a validation share, or momentum of an
        optimiser that has none.
    """

    def __init__(
        self,
        *,
        epochs: Count,
        optimizer: Annotated[str, OneOf(OPTIMIZERS)],
        learning_rate: NotNegative,
        weight_decay: NotNegative,
        momentum: Share,
        schedule: Annotated[str, OneOf(DECAYS)],
        warmup: Share,
        gradient_clip: Positive,
        distinct_contexts: bool,
        validation_share: Share,
        validate_every: Count,
        monitor: str,
        patience: Natural,
        checkpoint_every: Natural,
        device: str,
        precision: Precision,
    ) -> None:
        if patience and not validation_share:
            raise ConfigError(
                "trainer.patience needs validation pairs but trainer.validation_share is 0; "
                "use trainer.validation_share=0.2, or trainer.patience=0."
            )
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.optimizer = optimizer_named(optimizer, learning_rate, weight_decay, momentum)
        self.schedule = Schedule(schedule, warmup)
        self.gradient_clip = gradient_clip
        self.distinct_contexts = distinct_contexts
        self.validation_share = validation_share
        self.validate_every = validate_every
        self.monitor = monitor
        self.patience = patience
        self.checkpoint_every = checkpoint_every
        self.device = find_device(device)
        self.precision = casting(precision, self.device)

    @abstractmethod
    def steps(self, pairs: TrainingPairs, epoch: int, seed: int) -> Iterator[Step]:
        """Yield the optimisation steps of an epoch; seed and epoch decide their order."""

    def objective(
        self, model: TorchModel, loss: Loss, sampler: Sampler, generator: Generator
    ) -> Objective:
        """Return the function of a batch that training makes small."""
        return partial(
            batch_loss, model, loss, sampler, generator=generator, precision=self.precision
        )

    def start(self, state: State, keeper: Keeper | None) -> None:
        """Bring a state to where training starts."""
        if keeper:
            keeper.load(state)

    def mean(self, value: float) -> float:
        """Return the mean of a number over all that take part."""
        return value

    def agree(self, flag: bool) -> bool:
        """Return what the first of those that take part says."""
        return flag

    def fit(
        self,
        model: TorchModel,
        loss: Loss,
        sampler: Sampler,
        pairs: TrainingPairs,
        history: History,
        *,
        generator: Generator,
        validate: Validate | None = None,
        watch: Watch | None = None,
        keeper: Keeper | None = None,
        brake: Brake | None = None,
    ) -> None:
        """Train a model in place; afterwards it is on the CPU.

        Parameters
        ----------
        pairs
            The training pairs.
        history
            Filled with one row per epoch, also when training fails.
        generator
            Source of the sampler's random numbers; dropout draws from torch's own.
        validate
            Returns validation metrics of the model as it is; the best epoch's weights are kept.
        watch
            Called with each epoch's row, for a progress display.
        keeper
            Where training starts from, if something is kept there, and checkpoints go.
        brake
            Looked at after each epoch.

        Raises
        ------
        TrainingError
            If loss or gradient is not finite; the model then holds the last weights whose loss was.
        KeyboardInterrupt
            If the brake was pulled; the model holds the last epoch's weights, which were kept.
        """
        device = self.device
        model.to(device)
        pairs = pairs.on(device)
        if device.type != "cpu":
            generator = Generator(device).manual_seed(generator.initial_seed())
        sampler.prepare(pairs.counts(model.facts.n_services))
        optimizer = self.optimizer(model.parameters())
        best = EarlyStopping(model, self.monitor, self.patience)
        state = State(model, optimizer, generator, history, best)
        self.start(state, keeper)
        objective = self.objective(model, loss, sampler, generator)
        try:
            self._run(state, objective, pairs, validate, watch, keeper, brake)
        finally:
            state.take_time()
            model.cpu()

    def _run(
        self,
        state: State,
        objective: Objective,
        pairs: TrainingPairs,
        validate: Validate | None,
        watch: Watch | None,
        keeper: Keeper | None,
        brake: Brake | None,
    ) -> None:
        history, best = state.history, state.best
        while state.epoch < self.epochs and not self.agree(best.is_over):
            start = time.perf_counter()
            loss = self._epoch(state, objective, pairs)
            epoch = state.epoch = history.best_epoch = state.epoch + 1
            row = {"epoch": epoch, "loss": loss, "seconds": time.perf_counter() - start}
            history.rows.append(row)
            if validate and epoch % self.validate_every == 0:
                metrics = validate()
                row |= {f"validation_{name}": number for name, number in metrics.items()}
                best.see(epoch, metrics)
            if watch:
                watch(row)
            is_asked = brake is not None and brake.is_pulled
            if keeper and (is_asked or self._is_due(state)):
                keeper.save(state.checkpoint())
            if is_asked:
                raise KeyboardInterrupt
        if best.epoch:
            history.best_epoch = best.restore()

    def _epoch(self, state: State, objective: Objective, pairs: TrainingPairs) -> float:
        """Train for one epoch and return its mean loss."""
        if not state.model.training:  # telling every part again costs as much as a small step
            state.model.train()
        mean = over = 0.0  # mean loss, and share of the epoch that is over
        for number, step in enumerate(self.steps(pairs, state.epoch + 1, state.seed)):
            state.optimizer.zero_grad()
            loss = 0.0
            for batch in step.batches:
                value = objective(batch)
                value.backward()  # type: ignore[no-untyped-call]
                loss += self.mean(value.item())
            norm = clip_grad_norm_(state.optimizer.parameters, self.gradient_clip).item()
            if not (isfinite(loss) and isfinite(norm)):
                self._give_up(state, loss, norm)
            if number == 0:
                state.good.take()
                state.good_epoch = state.epoch
            start, end = (state.epoch + part for part in (over, over + step.share))
            factor = self.schedule.factor(start / self.epochs, end / self.epochs)
            state.optimizer.learning_rate = self.learning_rate * factor
            over += step.share
            try:
                state.optimizer.step()
            except RuntimeError as error:  # a step that 32 bits cannot hold
                if "overflow" not in str(error):
                    raise
                self._give_up(state, loss, norm)
            mean += loss * step.share
        return mean

    def _give_up(self, state: State, loss: float, norm: float) -> None:
        state.good.restore()
        state.history.best_epoch = state.good_epoch
        raise TrainingError(
            f"epoch {state.epoch + 1}: the loss is {loss}, its gradient {norm}; the weights of "
            f"epoch {state.good_epoch} are kept; try a smaller trainer.learning_rate "
            f"(now {self.learning_rate})."
        )

    def _is_due(self, state: State) -> bool:
        """Return whether a checkpoint is due after an epoch; the last one always has one."""
        is_last = state.epoch == self.epochs or state.best.is_over
        return is_last or bool(self.checkpoint_every and state.epoch % self.checkpoint_every == 0)
