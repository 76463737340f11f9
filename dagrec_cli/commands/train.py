"""``dagrec train``: one experiment, one run folder; with ``-m`` one job after another."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dagrec_cli.commands.failures import explain
from dagrec_cli.commands.hydra_main import run_with_hydra

if TYPE_CHECKING:
    from dagrec_cli.reporting.provenance import Request
    from dagrec_cli.reporting.tables import Table

TOP_LEVEL = ("seed", "seeds", "bootstrap", "threads", "progress", "resume")
RESUME = "resume="


def main() -> None:
    """Compose the config and run, or go on with the run that ``resume=`` names."""
    words = sys.argv[1:]
    if places := [word.removeprefix(RESUME) for word in words if word.startswith(RESUME)]:
        _resume(places[-1], [word for word in words if not word.startswith(RESUME)])
    else:
        run_with_hydra("train", train)


def train(config: DictConfig) -> float | None:
    """Run one job; in a multirun a failure is written down and the other jobs go on.

    Returns
    -------
    float or None
        The mean of the monitored metric, which a sweeper may maximise; None for a failed job.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from dagrec_cli.reporting.provenance import Request

    hydra = HydraConfig.get()
    path = Path(hydra.runtime.output_dir)
    choices = {k: v for k, v in hydra.runtime.choices.items() if "/" not in k}
    request = Request(choices, list(hydra.overrides.task))
    if hydra.mode == RunMode.MULTIRUN:
        return _job(config, path, request, f"job {hydra.job.num} {hydra.job.override_dirname}")
    table = _run(config, path, request)
    _show(table, path)
    return _objective(config, table)


def _resume(place: str, words: list[str]) -> None:
    from dagrec_cli.errors import ConfigError
    from dagrec_cli.reporting.resumption import resumption

    if flags := [word for word in words if word.startswith("-") or "=" not in word]:
        raise ConfigError(f"resume=FOLDER takes settings only; leave {flags[0]} out.")
    path = Path(place).expanduser()
    config, request = resumption(path, [w for w in words if not w.startswith("hydra.verbose=")])
    _show(_run(config, path, request, resume=True), path)


def _show(table: "Table", path: Path) -> None:
    from rich.console import Console

    console = Console()
    console.print(table.to_rich(console.width))
    sys.stdout.write(f"Run folder: {_short(path)}\n")


def _run(config: DictConfig, path: Path, request: "Request", *, resume: bool = False) -> "Table":
    from dagrec_cli.config.checks import check_keys
    from dagrec_cli.experiment import run_experiment
    from dagrec_cli.reporting.run_folder import RESULT, RunFolder
    from dagrec_cli.training.progress import progress

    folder = RunFolder(path)
    try:
        check_keys(config, [*request.choices, *TOP_LEVEL])
        with progress(config.progress) as display:
            return run_experiment(config, folder, request, display, resume=resume)
    except Exception as error:
        if explain(error, "train") is None:  # a defect, which nobody else writes down
            folder.write_json(RESULT, _failure(f"{type(error).__name__}: {error}", request))
        raise
    finally:
        folder.remove_if_empty()


def _job(config: DictConfig, path: Path, request: "Request", name: str) -> float | None:
    from dagrec_cli.errors import InUseError
    from dagrec_cli.reporting.run_folder import RESULT, RunFolder
    from dagrec_cli.reporting.tables import spell

    try:
        table = _run(config, path, request)
    except Exception as error:
        line = explain(error, "train") or f"{type(error).__name__}: {error}"
        if not (path / RESULT).exists() and not isinstance(error, InUseError):
            RunFolder(path).write_json(RESULT, _failure(line, request))
        sys.stderr.write(f"{name} failed: {line}\n")
        return None
    row = table.rows[0]
    sys.stdout.write(f"{name}: accuracy {spell(row['accuracy'])}, nDCG {spell(row['ndcg'])}\n")
    return _objective(config, table)


def _failure(line: str, request: "Request") -> dict[str, Any]:
    return {"status": "failed", "error": line, **request._asdict()}


def _objective(config: DictConfig, table: "Table") -> float:
    value: float = table.rows[0][config.trainer.monitor]["mean"]
    return value


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
