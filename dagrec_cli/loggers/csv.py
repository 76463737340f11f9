"""Nothing beside the ``metrics.csv`` that every run writes anyway."""

from omegaconf import DictConfig

from dagrec_cli.loggers.base import EpochRows
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.provenance import Request
from dagrec_cli.runs.result import Result


class CsvLogger:
    """Shows a run nowhere else; the run folder's ``metrics.csv`` grows with each epoch."""

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        """Do nothing."""

    def epochs(self, seed: int, rows: EpochRows) -> None:
        """Do nothing: the run has written them."""

    def end(self, result: Result) -> None:
        """Do nothing: whatever happened, the folder has it."""

    def end_sweep(self, folder: RunFolder) -> None:
        """Do nothing."""
