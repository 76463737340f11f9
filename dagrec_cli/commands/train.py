"""``dagrec train``: one experiment, one run folder; with ``-m`` one job after another."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dagrec_cli.app.failures import explain
from dagrec_cli.app.hydra_main import overrides_of, run_with_hydra
from dagrec_cli.config.where import (
    code_sha256,
    config_dir,
    short_path,
    split_flag,
    use_code,
    user_path,
)
from dagrec_cli.jobs.sweep import run_sweep

if TYPE_CHECKING:
    from dagrec_cli.reporting.tables import Table
    from dagrec_cli.runs.provenance import Request

RESUME = "resume="
LAUNCHED = {"RANK", "SLURM_PROCID"}  # what torchrun or srun leave in the environment
FINISHED = (
    "It had finished before: nothing was trained. trainer.epochs=MORE trains a network on that was "
    "begun with keep_checkpoints=true.\n"
)


def main() -> None:
    """Run; beside others that a launcher started, only as the first of them."""
    use_code(split_flag(sys.argv[1:])[0])
    if not LAUNCHED & os.environ.keys():
        _main()
        return
    from dagrec_cli.training.ranks import as_launched

    with as_launched(sys.argv[1:]) as is_first:
        if is_first:
            _main()


def _main() -> None:
    """Compose the config and run, or continue the run that ``resume=`` names."""
    words = sys.argv[1:]
    if places := [word.removeprefix(RESUME) for word in words if word.startswith(RESUME)]:
        _resume(places[-1], [word for word in words if not word.startswith(RESUME)])
    else:
        from dagrec_cli.jobs.pool import PoolLauncher, register
        from dagrec_cli.jobs.search import OptunaSweeper

        register(PoolLauncher, OptunaSweeper)
        run_sweep(lambda: run_with_hydra("train", train))


def train(config: DictConfig) -> float | None:
    """Run one job; in a multirun a failure is written down and the other jobs run.

    Returns
    -------
    float or None
        What a sweeper may maximise: the monitored metric's mean over seeds, on validation pairs;
        None for a failed job, and for one evaluated on the test pairs.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from dagrec_cli.config.build import plain
    from dagrec_cli.jobs.search import check_no_search
    from dagrec_cli.runs.folder import RunFolder
    from dagrec_cli.runs.provenance import Request, is_part

    hydra = HydraConfig.get()
    path = Path(hydra.runtime.output_dir)
    choices = {k: v for k, v in hydra.runtime.choices.items() if is_part(k)}
    is_job = hydra.mode == RunMode.MULTIRUN
    sweep = hydra.sweep.dir if is_job else None
    request = Request(choices, overrides_of(hydra)["task"], sweep, code_sha256(plain(config)))
    if is_job:
        return _job(config, path, request, f"job {hydra.job.num} {hydra.job.override_dirname}")
    check_no_search(hydra.sweeper, request.overrides, RunFolder(path))
    table = _run(config, path, request)
    _show(table, path)
    sys.stdout.write(_hint(hydra.runtime.choices, request.overrides))
    return _objective(config, table.rows[0])


def _resume(place: str, words: list[str]) -> None:
    from dagrec_cli.errors import ConfigError, RunError
    from dagrec_cli.reporting.tables import Table
    from dagrec_cli.runs.checkpoints import has_checkpoints
    from dagrec_cli.runs.folder import CHECKPOINTS, CONFIG, RunFolder
    from dagrec_cli.runs.resume import check_nothing_new, resumption
    from dagrec_cli.runs.state import whole_run

    _, words = split_flag(words)
    if flags := [word for word in words if word.startswith("-") or "=" not in word]:
        raise ConfigError(f"resume=FOLDER takes settings only; leave {flags[0]} out.")
    path = user_path(place)
    config, request = resumption(path, [w for w in words if not w.startswith("hydra.verbose=")])
    finished = whole_run(path)
    n_before = finished and finished.config["trainer"]["epochs"]  # read before it is written again
    if finished and not finished.counts and not has_checkpoints(path, finished.result["seeds"]):
        check_nothing_new(finished, config, request)
        table = Table.load(path)
        RunFolder(path).remove(CHECKPOINTS)  # those of some seeds: a kill while they were removed
    else:
        try:
            table = _run(config, path, request, resume=True)
        except ConfigError as error:
            raise RunError(f"{path / CONFIG}: {error}") from error
    _show(table, path)
    if n_before == config.trainer.epochs:
        sys.stdout.write(FINISHED)


def _show(table: "Table", path: Path) -> None:
    from dagrec_cli.app.output import show_table

    show_table(table)
    sys.stdout.write(f"Run folder: {short_path(path)}\n")


def _hint(choices: Mapping[str, str | None], words: Sequence[str]) -> str:
    """Return a line for a published model whose trainer nobody has chosen."""
    model = choices["model"]
    is_published = (config_dir() / "experiment" / f"{model}.yaml").is_file()
    is_chosen = choices["experiment"] or any(word.startswith("trainer=") for word in words)
    return f"The paper's trainer: experiment={model}\n" if is_published and not is_chosen else ""


def _run(config: DictConfig, path: Path, request: "Request", *, resume: bool = False) -> "Table":
    from dagrec_cli.experiment.fit import run_experiment
    from dagrec_cli.runs.folder import RESULT, RunFolder
    from dagrec_cli.training.progress import progress

    folder = RunFolder(path)
    try:
        with progress(config.progress) as display:
            return run_experiment(config, folder, request, display, resume=resume)
    except Exception as error:
        if explain(error, "train") is None:  # a defect, which nobody else writes down
            folder.write_json(RESULT, _failure(f"{type(error).__name__}: {error}", request))
        raise
    finally:
        folder.remove_if_empty()


def _job(config: DictConfig, path: Path, request: "Request", name: str) -> float | None:
    """Run a job of a multirun unless it was finished before, and say what came of it.

    In a sweep whoever began it says so, for every launcher.
    """
    from dagrec_cli.errors import InUseError
    from dagrec_cli.jobs.sweep_folder import has_ended, is_sweep, outcome
    from dagrec_cli.runs.folder import RESULT, RunFolder

    value, sweep = None, Path(str(request.sweep))
    try:
        value = _objective(config, _metrics(config, path, request))
    except InUseError:  # whoever holds the folder writes its result
        return None
    except Exception as error:
        line = explain(error, "train") or f"{type(error).__name__}: {error}"
        if not has_ended(path, sweep):
            RunFolder(path).write_json(RESULT, _failure(line, request))
    if not is_sweep(sweep):
        text, is_finished = outcome(path, sweep)
        (sys.stdout if is_finished else sys.stderr).write(f"{name} {text}\n")
    return value


def _metrics(config: DictConfig, path: Path, request: "Request") -> Mapping[str, Any]:
    """Return the metrics of a job; one that was stopped continues from its checkpoints."""
    from dagrec_cli.jobs.sweep_folder import has_ended
    from dagrec_cli.runs.folder import RESULT
    from dagrec_cli.runs.state import fits, whole_run

    has_run = has_ended(path, Path(str(request.sweep)))  # launched twice: a process had died
    is_begun_before = has_run or (not config.rerun and fits(path, config))
    if is_begun_before and (run := whole_run(path)):
        (path / RESULT).touch()  # it counts for this sitting
        metrics: Mapping[str, Any] = run.result["metrics"]
        return metrics
    if has_run:
        return {}
    return _run(config, path, request, resume=is_begun_before).rows[0]


def _failure(line: str, request: "Request") -> dict[str, Any]:
    return {"status": "failed", "error": line, **request._asdict()}


def _objective(config: DictConfig, metrics: Mapping[str, Any]) -> float | None:
    if config.evaluate_on != "validation" or not metrics:
        return None
    value: float = metrics[config.trainer.monitor]["mean"]
    return value
