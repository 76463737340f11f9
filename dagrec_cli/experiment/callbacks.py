"""What an experiment does while a model is trained: validate, save, show and log."""

from dataclasses import dataclass

from dagrec_cli.config.metric_names import with_default
from dagrec_cli.evaluation.evaluator import evaluate_rows
from dagrec_cli.evaluation.metrics import evaluate
from dagrec_cli.evaluation.ranks import Membership
from dagrec_cli.experiment.components import Components
from dagrec_cli.loggers.base import SafeLogger
from dagrec_cli.models.base import TorchModel
from dagrec_cli.runs.csv_files import MetricsFile
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.resume import CheckpointStore
from dagrec_cli.training.interrupt import StopRequest
from dagrec_cli.training.progress import Progress
from dagrec_cli.training.split_data import SplitData
from dagrec_cli.training.state import History, TrainingState
from dagrec_cli.training.trainer import Callback


@dataclass(frozen=True)
class RunContext:
    """What the seeds of an experiment share while it runs.

    Attributes
    ----------
    data
        What is fitted; in the end, what the kept models are fitted on and evaluated on.
    chosen_on
        What the epoch is chosen on; the same unless models are fitted again.
    """

    folder: RunFolder
    progress: Progress
    logger: SafeLogger
    metrics: MetricsFile
    components: Components
    data: SplitData
    chosen_on: SplitData
    histories: dict[int, History]

    def say_if_too_short(self, seed: int) -> None:
        """Say what to raise if a training ended at its last epoch while it was getting better.

        One that is judged on validation pairs is a trial, and may be cut short on purpose.
        """
        trainer, history = self.components.trainer, self.histories[seed]
        better = history.still_better(trainer.epochs, trainer.monitor)
        if better and self.data.side == "test":
            line = f"seed {seed}: {better} when training ended; raise trainer.epochs"
            self.progress.say(f"{line} (now {trainer.epochs}) or trainer.learning_rate.")


class SeedCallback(Callback):
    """Validates, shows, logs and saves the training of one seed.

    Parameters
    ----------
    model
        What is trained.
    stop
        Whether it is to end.
    """

    name = "training"
    checkpoint = "seed{}"

    def __init__(self, model: TorchModel, seed: int, around: RunContext, stop: StopRequest) -> None:
        self.model = model
        self.seed = seed
        self.data = around.data
        self.around = around
        self.stop = stop
        name = self.checkpoint.format(seed)
        self.checkpoints = CheckpointStore(around.folder, name, around.progress.say)

    @property
    def is_stopping(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.stop.is_made

    def load(self, state: TrainingState) -> None:
        """Go back to the newest checkpoint of the folder, and report the epochs behind it."""
        self.checkpoints.load(state)
        if state.epoch:
            self._report()

    def save(self, state: TrainingState) -> None:
        """Write a checkpoint into the folder."""
        self.checkpoints.save(state)

    def validate(self) -> dict[str, float]:
        """Return metrics on the validation pairs; none if there are none."""
        if not len(self.data.validation):
            return {}
        dataset, rows = self.data.dataset, self.data.validation
        found, metrics = (
            evaluate_rows(self.model, dataset, rows),
            with_default(self.around.components.metrics),
        )
        return evaluate(found.outcomes, metrics, Membership.of(dataset, rows))

    def epoch_ended(self, state: TrainingState) -> None:
        """Show the epoch and report it."""
        self.around.progress.step(state.epoch, f"loss {state.history.rows[-1]['loss']:.4f}")
        self._report()

    def _report(self) -> None:
        rows = self.around.histories[self.seed].every_row
        self.around.metrics.add(self.seed, rows)
        self.around.logger.epochs(self.seed, rows)


class RefitCallback(SeedCallback):
    """The same of the last fit on all training pairs, after validation has chosen the epoch."""

    name = "refit on all training pairs"
    checkpoint = "refit_seed{}"


class FinalCallback(SeedCallback):
    """Shows and saves the training on all steps; what is reported is the evaluated model's."""

    name = "training on all steps"
    checkpoint = "final_seed{}"

    def _report(self) -> None: ...
