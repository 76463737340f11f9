"""What a logger is told, and what all of them make of it."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

from omegaconf import DictConfig

from dagrec_cli.config.build import plain
from dagrec_cli.config.deciding import flat
from dagrec_cli.errors import ConfigError
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.provenance import Request

Rows = Sequence[Mapping[str, float]]


@runtime_checkable
class RunLogger(Protocol):
    """Shows a run somewhere else, while it trains and afterwards."""

    def begin(self, folder: RunFolder, config: DictConfig, request: Request) -> None:
        """Begin a run, or go on with the one that the folder began."""

    def epochs(self, seed: int, rows: Rows) -> None:
        """Take in a seed's epochs so far, after each of them; some may have been told before."""

    def end(self, result: Mapping[str, Any]) -> None:
        """Take in ``result.json``; of a run that stopped early it has ``status`` and ``error``."""

    def end_sweep(self, folder: RunFolder) -> None:
        """Take in the table and the report of a sweep, whose jobs have ended."""


def check_installed(logger: str, *packages: str) -> None:
    """Raise ConfigError, naming the extra, if a logger's package is absent."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise ConfigError(
            f"logger={logger} needs {missing[0]}; install it with: "
            f"pip install -c constraints.txt -e '.[{logger}]'."
        )


def params_of(config: DictConfig, request: Request) -> dict[str, Any]:
    """Return a run's choices and settings, flat with dotted keys, as plain values."""
    settings = dict(flat(plain(config)))
    choices = {group: choice for group, choice in request.choices.items() if group != "logger"}
    return choices | {
        key: value if isinstance(value, bool | int | float) else str(value)
        for key, value in settings.items()
        if not key.startswith("logger.") and not key.endswith("_target_") and value is not None
    }


def scores_of(result: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics of a finished run: ``ndcg``, ``ndcg_std``, ``ndcg_low``, ``ndcg_high``."""
    return {
        name_of(metric if part == "mean" else f"{metric}_{part}"): value
        for metric, summary in result.get("metrics", {}).items()
        for part, value in summary.items()
        if value is not None
    }


def name_of(metric: str) -> str:
    """Return a metric's name in letters that every tool takes: ``hr_at_1``."""
    return metric.replace("@", "_at_")
