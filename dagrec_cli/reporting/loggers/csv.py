"""``metrics.csv``, which every run has at its end, written while it trains."""

import time
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig

from dagrec_cli.reporting.loggers.base import Rows
from dagrec_cli.reporting.provenance import Request
from dagrec_cli.reporting.run_folder import RunFolder
from dagrec_cli.reporting.seed_run import write_metrics

SECONDS = 10.0  # between two writings; a run that is shorter pays nothing


class CsvLogger:
    """Writes the epochs so far into the run folder, now and then."""

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        """Remember the folder."""
        self._folder = folder
        self._rows: dict[int, Rows] = {}
        self._written = time.monotonic()

    def epochs(self, seed: int, rows: Rows) -> None:
        """Write ``metrics.csv`` if that is some seconds ago."""
        self._rows[seed] = rows
        if time.monotonic() - self._written >= SECONDS:
            write_metrics(self._folder, self._rows)
            self._written = time.monotonic()

    def end(self, result: Mapping[str, Any]) -> None:
        """Do nothing: whatever happened, the folder has it."""
