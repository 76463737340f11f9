"""``dagrec train``: one experiment, one run folder."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from dagrec_cli.commands.hydra_main import run_with_hydra


def main() -> None:
    """Compose the config and run."""
    run_with_hydra("train", train)


def train(config: DictConfig) -> float | None:
    """Run one job; in a sweep a failure is written down and the sweep goes on.

    Returns
    -------
    float or None
        The mean of the monitored metric, which a sweeper may optimise; None for a failed job.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from dagrec_cli.commands.failures import explain

    hydra = HydraConfig.get()
    path = Path(hydra.runtime.output_dir)
    if hydra.mode == RunMode.RUN:
        return _run(config, path)
    try:
        return _run(config, path)
    except Exception as error:
        line = explain(error, "train")
        _write_failure(path, line or f"{type(error).__name__}: {error}")
        sys.stderr.write(f"job {hydra.job.num} ({hydra.job.override_dirname}) failed: {line}\n")
        return None


def _run(config: DictConfig, path: Path) -> float | None:
    from hydra.core.hydra_config import HydraConfig
    from rich.console import Console

    from dagrec_cli.config.checks import check_keys
    from dagrec_cli.errors import DagrecError
    from dagrec_cli.experiment import run_experiment
    from dagrec_cli.reporting.run_folder import RunFolder
    from dagrec_cli.training.progress import progress

    folder = RunFolder(path)
    choices = {k: v for k, v in HydraConfig.get().runtime.choices.items() if "/" not in k}
    try:
        check_keys(config, [*choices, "seed", "seeds", "bootstrap", "progress"])
        with progress(config.progress) as display:
            table = run_experiment(config, folder, choices, display)
    except DagrecError:
        folder.remove_if_empty()
        raise
    console = Console()
    console.print(table.to_rich(console.width))
    sys.stdout.write(f"Run folder: {_short(path)}\n")
    value: float = table.rows[0][config.trainer.monitor]["mean"]
    return value


def _write_failure(path: Path, line: str) -> None:
    from dagrec_cli.reporting.run_folder import RESULT, RunFolder

    if not (path / RESULT).exists():
        RunFolder(path).write_json(RESULT, {"status": "failed", "error": line})


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
