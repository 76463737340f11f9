"""The end of a search: its table, the best trial run on all training pairs, what is to be read."""

import sys
from collections.abc import Callable, Sequence

from dagrec_cli.errors import RunError, visible
from dagrec_cli.jobs.search_space import SearchSpace
from dagrec_cli.jobs.study import NAME, Trial, best_of, describe, retraining, write_study
from dagrec_cli.reporting.tables import Table
from dagrec_cli.reporting.terminal import to_rich
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run

BEST = "best"

Launch = Callable[[dict[str, list[str]], int], object]


def finish(
    folder: RunFolder, trials: Sequence[Trial], space: SearchSpace, monitor: str, launch: Launch
) -> None:
    """Write the trials down, run the best one's settings in ``best/``, and print what came out.

    Parameters
    ----------
    folder
        The study's.
    monitor
        Name of what was searched for.
    launch
        Runs lists of overrides in folders of their names, but what has been run there before: the
        test set is looked at once.

    Raises
    ------
    RunError
        If no trial succeeded, or the best one did not when it was run again.
    """
    best = best_of(trials)
    if best is None:
        raise RunError(
            f"none of {len(trials)} trials succeeded, the last one: {trials[-1].reason} Mend it "
            "and begin another study: hydra.sweeper.study_name=NAME."
        )
    write_study(folder, trials, monitor)
    overrides = space.overrides({**best.settings, **retraining(best)})
    path = folder.path / BEST
    launch({BEST: overrides}, len(trials))
    run = Run.load(path)
    if not run.is_finished:
        raise RunError(f"{path}: the best trial could not be run again: {run.reason}")
    _show(run, describe(trials, best, monitor), folder)


def _show(run: Run, told: list[str], folder: RunFolder) -> None:
    from rich.console import Console

    console = Console()
    lines = "\n".join(told)
    sys.stdout.write(f"{lines}\nThe same settings on all training pairs, evaluated once:\n")
    console.print(to_rich(Table.load(run.path), console.width))
    sys.stdout.write(
        f"Again: {visible(run.result['command_line'])}\n"
        f"Trials: {folder.path / NAME}.csv, {NAME}.png\nBest run: {run.path}\n"
    )
