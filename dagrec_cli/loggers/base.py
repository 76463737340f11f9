"""What a logger gets, what all loggers make of it, and how one may fail alone."""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from omegaconf import DictConfig

from dagrec_cli.config.build import plain
from dagrec_cli.config.deciding import flat
from dagrec_cli.errors import ConfigError, install
from dagrec_cli.runs.folder import LOGGER, RunFolder
from dagrec_cli.runs.provenance import Request, origin
from dagrec_cli.runs.result import Finished, Result, stopped

SHOWN_OF_ERROR = 200  # characters of an error that a warning repeats
EpochRows = Sequence[Mapping[str, float]]


class RunLogger:
    """Shows a run somewhere else, while it trains and afterwards; this one shows it nowhere.

    The run folder's ``metrics.csv`` grows with each epoch anyway, so this is ``logger=csv``.
    """

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        """Begin a run, or continue the one that the folder began."""

    def epochs(self, seed: int, rows: EpochRows) -> None:
        """Take in a seed's epochs so far, after each of them; some may have come before."""

    def end(self, result: Result) -> None:
        """Take in ``result.json``, also of a run that stopped."""

    def end_sweep(self, folder: RunFolder) -> None:
        """Take in the table and the report of a sweep, whose jobs have ended."""


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
        self._logger = RunLogger()
        self._request: Request | None = None

    def __enter__(self) -> "SafeLogger":
        return self

    def __exit__(self, kind: object, reason: BaseException | None, trace: object) -> None:
        if reason is not None and self._request is not None:
            self.end(stopped(origin("train", self._request), reason))

    def begin(
        self, logger: RunLogger, folder: RunFolder, config: DictConfig, request: Request
    ) -> None:
        """Begin with a logger, see :meth:`RunLogger.begin`."""
        self._logger, self._request = logger, request
        self._tell(lambda logger: logger.begin(folder, config, request))

    def end_sweep(self, logger: RunLogger, folder: RunFolder) -> None:
        """See :meth:`RunLogger.end_sweep`."""
        self._logger = logger
        self._tell(lambda logger: logger.end_sweep(folder))

    def epochs(self, seed: int, rows: EpochRows) -> None:
        """See :meth:`RunLogger.epochs`."""
        self._tell(lambda logger: logger.epochs(seed, rows))

    def end(self, result: Result) -> None:
        """See :meth:`RunLogger.end`."""
        self._tell(lambda logger: logger.end(result))

    def _tell(self, call: Callable[[RunLogger], None]) -> None:
        try:
            call(self._logger)
        except Exception as error:  # whatever it is, the training matters more
            reason = " ".join(str(error).split())[:SHOWN_OF_ERROR]
            line = f"{type(self._logger).__name__} stopped ({type(error).__name__}: {reason})"
            self._logger = RunLogger()
            LOGGER.warning(line, exc_info=error)
            self._warn(f"{line}; the run continues without it.")


def check_installed(logger: str, *packages: str) -> None:
    """Raise ConfigError, naming the extra, if a logger's package is absent."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise ConfigError(f"logger={logger} needs {missing[0]}; {install(logger)}.")


def params_of(config: DictConfig, request: Request) -> dict[str, Any]:
    """Return a run's choices and settings, flat with dotted keys, as plain values."""
    settings = dict(flat(plain(config)))
    choices = {group: choice for group, choice in request.choices.items() if group != "logger"}
    return choices | {
        key: value if isinstance(value, bool | int | float) else str(value)
        for key, value in settings.items()
        if not key.startswith("logger.") and not key.endswith("_target_") and value is not None
    }


def scores_of(result: Finished) -> dict[str, float]:
    """Return the metrics of a run: ``ndcg``, ``ndcg_std``, ``ndcg_low``, ``ndcg_high``."""
    return {
        name_of(metric if part == "mean" else f"{metric}_{part}"): value
        for metric, summary in result.metrics.items()
        for part, value in summary.items()
        if isinstance(value, float)
    }


def name_of(metric: str) -> str:
    """Return a metric's name in letters that every tool takes: ``hr_at_1``."""
    return metric.replace("@", "_at_")
