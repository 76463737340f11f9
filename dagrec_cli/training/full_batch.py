"""Full-batch training: one step per epoch over all training pairs.

Source: PAPER §5.
Differs from the source: equal pairs are one weighted row and a distinct context is encoded once,
unless ``distinct_contexts`` is false. The loss is the same number; dropout is drawn per distinct
context.
"""

import time
from collections.abc import Callable

from torch import Generator
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam

from dagrec_cli.config.limits import check_count, check_positive, check_share
from dagrec_cli.errors import ConfigError, TrainingError
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import TorchModel
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.training.batch import Batch
from dagrec_cli.training.early_stopping import EarlyStopping, Snapshot
from dagrec_cli.training.history import History
from dagrec_cli.training.step import batch_loss

Watch = Callable[[dict[str, float]], None]
Validate = Callable[[], dict[str, float]]


class FullBatch:
    """Adam over the whole training set, gradient norm clipped.

    Parameters
    ----------
    epochs
        Training steps, 1 and up.
    learning_rate
        Adam's step size, above 0 (0 trains nothing and is allowed).
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

    Raises
    ------
    ConfigError
        If a setting is out of range, or patience is asked for without a validation share.
    """

    def __init__(
        self,
        *,
        epochs: int,
        learning_rate: float,
        gradient_clip: float,
        distinct_contexts: bool,
        validation_share: float,
        validate_every: int,
        monitor: str,
        patience: int,
    ) -> None:
        check_count("trainer.epochs", epochs)
        check_positive("trainer.learning_rate", learning_rate, or_zero=True)
        check_positive("trainer.gradient_clip", gradient_clip)
        check_share("trainer.validation_share", validation_share)
        check_count("trainer.validate_every", validate_every)
        check_count("trainer.patience", patience, least=0)
        if patience and not validation_share:
            raise ConfigError(
                "trainer.patience needs validation pairs but trainer.validation_share is 0; "
                "use trainer.validation_share=0.2, or trainer.patience=0."
            )
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.gradient_clip = gradient_clip
        self.distinct_contexts = distinct_contexts
        self.validation_share = validation_share
        self.validate_every = validate_every
        self.monitor = monitor
        self.patience = patience

    def fit(
        self,
        model: TorchModel,
        loss: Loss,
        sampler: Sampler,
        batch: Batch,
        history: History,
        *,
        generator: Generator,
        validate: Validate | None = None,
        watch: Watch | None = None,
    ) -> None:
        """Train a model in place.

        Parameters
        ----------
        batch
            The training pairs.
        history
            Filled with one row per epoch, also when training fails.
        generator
            Source of the sampler's random numbers; dropout draws from torch's own.
        validate
            Returns validation metrics of the model as it is; the best epoch's weights are kept.
        watch
            Called with each epoch's row, for a progress display.

        Raises
        ------
        TrainingError
            If loss or gradient is not finite; the model then holds the last weights whose loss was.
        """
        optimizer = Adam(model.parameters(), self.learning_rate, fused=True)
        good, best = Snapshot(model), EarlyStopping(self.monitor, self.patience)
        for epoch in range(1, self.epochs + 1):
            start = time.perf_counter()
            model.train()
            optimizer.zero_grad()
            value = batch_loss(model, loss, sampler, batch, generator)
            value.backward()  # type: ignore[no-untyped-call]
            norm = clip_grad_norm_(model.parameters(), self.gradient_clip)
            if not (value.isfinite() and norm.isfinite()):
                good.restore()
                history.best_epoch = max(epoch - 2, 0)
                raise TrainingError(
                    f"epoch {epoch}: the loss is {value.item()}, its gradient {norm.item()}; the "
                    f"weights of epoch {history.best_epoch} are kept; try a smaller "
                    f"trainer.learning_rate (now {self.learning_rate})."
                )
            good.take()
            optimizer.step()
            row = {"epoch": epoch, "loss": value.item(), "seconds": time.perf_counter() - start}
            history.rows.append(row)
            history.best_epoch = epoch
            if validate and epoch % self.validate_every == 0:
                metrics = validate()
                row |= {f"validation_{name}": number for name, number in metrics.items()}
                best.see(model, epoch, metrics)
            if watch:
                watch(row)
            if best.is_over:
                break
        if best.epoch:
            history.best_epoch = best.restore()
