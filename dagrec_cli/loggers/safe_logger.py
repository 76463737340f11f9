"""A logger that breaks must not take the training with it."""

from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig

from dagrec_cli.loggers.base import Rows, RunLogger
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.log import LOGGER
from dagrec_cli.runs.provenance import Request

SHOWN_OF_ERROR = 200  # characters of an error that a warning repeats


class SafeLogger:
    """Tells a logger everything until it fails once; then warns, in one line, and is silent.

    Used with ``with``, it also tells of whatever stops the run inside.

    Parameters
    ----------
    warn
        Gets the line.
    """

    def __init__(self, warn: Callable[[str], object]) -> None:
        self._warn = warn
        self._logger: RunLogger | None = None

    def __enter__(self) -> "SafeLogger":
        return self

    def __exit__(self, kind: object, reason: BaseException | None, trace: object) -> None:
        if reason is not None:
            status = "interrupted" if isinstance(reason, KeyboardInterrupt) else "failed"
            self.end({"status": status, "error": str(reason) or type(reason).__name__})

    def begin(
        self, logger: RunLogger, folder: RunFolder, config: DictConfig, request: Request
    ) -> None:
        """Begin with a logger, see :meth:`RunLogger.begin`."""
        self._logger = logger
        self._tell(lambda logger: logger.begin(folder, config, request))

    def end_sweep(self, logger: RunLogger, folder: RunFolder) -> None:
        """See :meth:`RunLogger.end_sweep`."""
        self._logger = logger
        self._tell(lambda logger: logger.end_sweep(folder))

    def epochs(self, seed: int, rows: Rows) -> None:
        """See :meth:`RunLogger.epochs`."""
        self._tell(lambda logger: logger.epochs(seed, rows))

    def end(self, result: Mapping[str, Any]) -> None:
        """See :meth:`RunLogger.end`."""
        self._tell(lambda logger: logger.end(result))

    def _tell(self, call: Callable[[RunLogger], None]) -> None:
        if self._logger is None:
            return
        try:
            call(self._logger)
        except Exception as error:  # whatever it is, the training matters more
            told = " ".join(str(error).split())[:SHOWN_OF_ERROR]
            line = f"{type(self._logger).__name__} stopped ({type(error).__name__}: {told})"
            self._logger = None
            LOGGER.warning(line, exc_info=error)
            self._warn(f"{line}; the run goes on without it.")
