"""``dagrec train``: one experiment, one run folder; with ``-m`` one job after another."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from dagrec_cli.app.failures import explain
from dagrec_cli.app.hydra_main import overrides_of, run_with_hydra
from dagrec_cli.config.where import config_dir, split_flag, use_code, user_path
from dagrec_cli.errors import short_path

if TYPE_CHECKING:
    from dagrec_cli.runs.provenance import Request
    from dagrec_cli.runs.run import Run

RESUME = "resume="
LAUNCHED = {"RANK", "SLURM_PROCID"}  # what torchrun or srun leave in the environment
FINISHED = (
    "It had finished before: nothing was trained. trainer.epochs=MORE continues a network's run "
    "that was begun with keep_checkpoints=true.\n"
)


def main() -> None:
    """Compose the config and run, or continue the run that ``resume=`` names.

    Beside others that a launcher started, only the first process does.
    """
    words = sys.argv[1:]
    use_code(split_flag(words)[0])
    with _launched(words) as is_first:
        if not is_first:
            return
        if places := [word.removeprefix(RESUME) for word in words if word.startswith(RESUME)]:
            _resume(places[-1], [word for word in words if not word.startswith(RESUME)])
            return
        from dagrec_cli.jobs.plugins import PoolLauncher, register
        from dagrec_cli.jobs.search import OptunaSweeper
        from dagrec_cli.jobs.sweep import register_sweeper

        register(PoolLauncher, OptunaSweeper)
        register_sweeper()
        run_with_hydra("train", train)


def _launched(words: Sequence[str]) -> AbstractContextManager[bool]:
    """Return what tells, once entered, whether this process runs the command."""
    if not LAUNCHED & os.environ.keys():
        return nullcontext(True)
    from dagrec_cli.training.ranks import as_launched

    return as_launched(words)


def train(config: DictConfig) -> float | None:
    """Run one job; in a multirun a failure is written down and the other jobs run.

    Of a split with several parts, none of which is named, all are run, a job each.

    Returns
    -------
    float or None
        What a sweeper may maximise: the monitored metric's mean over seeds, on validation pairs;
        None for a failed job, and for one evaluated on the test pairs.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from dagrec_cli.experiment.fit import check_first_part
    from dagrec_cli.jobs.job import n_parts, request_of
    from dagrec_cli.jobs.search import check_no_search
    from dagrec_cli.jobs.sweep import sweep_parts
    from dagrec_cli.runs.folder import RunFolder
    from dagrec_cli.runs.state import TRAINING, check_new

    hydra = HydraConfig.get()
    path = Path(hydra.runtime.output_dir)
    if hydra.mode == RunMode.MULTIRUN:
        return _job(config, path)
    request = request_of(hydra, config, overrides_of(hydra)["task"])
    check_no_search(hydra.sweeper, request.overrides, RunFolder(path))
    if n_parts(config) > 1:
        check_first_part(config, request)
        sweep_parts(hydra)
        return None
    check_new(path, TRAINING, word="rerun", asked=config.rerun)
    run = _run(config, path, request)
    _show(run, notes=config.notes)
    sys.stdout.write(_hint(hydra.runtime.choices, request.overrides))
    return _objective(config, run)


def _job(config: DictConfig, path: Path) -> float | None:
    """Run a job of a sweeper that is none of ours unless it is done, and say what came of it."""
    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.jobs.job import in_words, job_state
    from dagrec_cli.jobs.task import run_job
    from dagrec_cli.training.progress import progress

    hydra = HydraConfig.get()
    state = job_state(path, config)
    if config.rerun or state.run is None:
        run_job(config, progress(config.progress), resume=not config.rerun)
        state = job_state(path, config)
    stream = sys.stdout if state.run else sys.stderr
    stream.write(f"job {hydra.job.num} {hydra.job.override_dirname}: {in_words(state)}\n")
    return _objective(config, state.run)


def _resume(place: str, words: list[str]) -> None:
    from dagrec_cli.errors import ConfigError, RunError
    from dagrec_cli.runs.folder import CHECKPOINTS, CONFIG, RunFolder
    from dagrec_cli.runs.resume import check_nothing_new, has_checkpoints, resumption
    from dagrec_cli.runs.state import state_of

    _, words = split_flag(words)
    if flags := [word for word in words if word.startswith("-") or "=" not in word]:
        raise ConfigError(f"resume=FOLDER takes settings only; leave {flags[0]} out.")
    path = user_path(place)
    config, request = resumption(path, [w for w in words if not w.startswith("hydra.verbose=")])
    run = state_of(path).run
    n_before = run and run.config["trainer"]["epochs"]  # read before it is written again
    if run and not run.counts and not has_checkpoints(path, run.seeds):
        check_nothing_new(run, config, request)
        RunFolder(path).remove(CHECKPOINTS)  # those of some seeds: a kill while they were removed
    else:
        try:
            run = _run(config, path, request, resume=True)
        except ConfigError as error:
            raise RunError(f"{path / CONFIG}: {error}") from error
    _show(run, notes=config.notes)
    if n_before == config.trainer.epochs:
        sys.stdout.write(FINISHED)


def _show(run: "Run", *, notes: bool) -> None:
    from dagrec_cli.app.output import show_tables
    from dagrec_cli.experiment.result import table_of
    from dagrec_cli.reporting.comparison import strata_of
    from dagrec_cli.runs.folder import FINAL

    result = run.finished
    show_tables([table_of(run), *strata_of(result)], notes=notes)
    sys.stdout.write(f"Run folder: {short_path(run.path)}\n")
    if result.has_final:
        n = result.data.pairs
        sys.stdout.write(
            f"Final model, fitted on all {n:,} steps: {short_path(run.path / FINAL)}\n"
        )


def _hint(choices: Mapping[str, str | None], words: Sequence[str]) -> str:
    """Return a line for a published model whose trainer nobody has chosen."""
    model = choices["model"]
    is_published = (config_dir() / "experiment" / f"{model}.yaml").is_file()
    is_chosen = choices["experiment"] or any(word.startswith("trainer=") for word in words)
    return f"The paper's trainer: experiment={model}\n" if is_published and not is_chosen else ""


def _run(config: DictConfig, path: Path, request: "Request", *, resume: bool = False) -> "Run":
    from dagrec_cli.experiment.fit import run_experiment
    from dagrec_cli.runs.folder import RunFolder
    from dagrec_cli.runs.record import write_failure
    from dagrec_cli.training.progress import progress

    folder = RunFolder(path)
    try:
        with progress(config.progress) as display:
            return run_experiment(config, folder, request, display, resume=resume)
    except Exception as error:
        if explain(error, "train") is None:  # a defect, which nobody else writes down
            write_failure(folder, request, f"{type(error).__name__}: {error}")
        raise
    finally:
        folder.remove_if_empty()


def _objective(config: DictConfig, run: "Run | None") -> float | None:
    if config.evaluate_on != "validation" or run is None:
        return None
    return run.finished.metrics[config.trainer.monitor]["mean"]
