"""TensorBoard: event files in the run folder, one curve per seed, settings and final metrics."""

from typing import Any

from omegaconf import DictConfig

from dagrec_cli.loggers.base import (
    EpochRows,
    RunLogger,
    check_installed,
    name_of,
    params_of,
    scores_of,
)
from dagrec_cli.runs.folder import EVENTS, RunFolder
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.result import Finished, Result


class TensorBoardLogger(RunLogger):
    """Writes ``tensorboard/`` (hyperparameters, final metrics) and ``tensorboard/seed_0/``, ….

    Each seed is a run of its own, so that TensorBoard draws seeds over each other.

    Raises
    ------
    ConfigError
        If TensorBoard is not installed.
    """

    def __init__(self) -> None:
        check_installed("tensorboard", "tensorboard")

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        """Write the settings, in place of those that an earlier process wrote."""
        from torch.utils.tensorboard.summary import hparams

        folder.remove(EVENTS)
        self._path = folder.below(EVENTS).path
        self._seeds: dict[int, tuple[Any, int]] = {}
        self._whole = self._writer()
        settings = params_of(config, request)
        _, start, self._finish = hparams(settings, {})  # type: ignore[no-untyped-call]
        self._whole.file_writer.add_summary(start)
        self._whole.flush()

    def epochs(self, seed: int, rows: EpochRows) -> None:
        """Write the epochs that this process has not; what an earlier one wrote is void."""
        writer, n_old = self._seeds.get(seed) or (self._writer(f"seed_{seed}", purge_step=1), 0)
        for row in rows[n_old:]:
            for name, value in row.items():
                if name != "epoch":
                    writer.add_scalar(name_of(name), value, int(row["epoch"]))
        writer.flush()
        self._seeds[seed] = writer, len(rows)

    def end(self, result: Result) -> None:
        """Write the final metrics, or why there are none."""
        if isinstance(result, Finished):
            for name, value in scores_of(result).items():
                self._whole.add_scalar(name, value)
            self._whole.file_writer.add_summary(self._finish)
        else:
            self._whole.add_text(result.status, result.error)
        for writer in (self._whole, *(writer for writer, _ in self._seeds.values())):
            writer.close()

    def _writer(self, run: str = "", **options: Any) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(self._path / run), **options)
