"""``dagrec train -m``: every combination of values with commas between them, and one table."""

import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.core_plugins import basic_sweeper
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dagrec_cli.app.failures import first_line
from dagrec_cli.app.hydra_main import overrides_of
from dagrec_cli.app.output import write_tables
from dagrec_cli.config.build import build
from dagrec_cli.config.kinds import Count
from dagrec_cli.config.metric_names import metrics_of
from dagrec_cli.data.plain_files import check_own_folders
from dagrec_cli.errors import ConfigError, RunError, plural
from dagrec_cli.jobs.job import Job, as_hydra_config, by_part, check_number, count_values, n_parts
from dagrec_cli.jobs.plugins import PLUGINS, JobSweeper, register
from dagrec_cli.jobs.run import CONTINUES, Engine
from dagrec_cli.reporting.comparison import compare_rows, strata_tables
from dagrec_cli.reporting.grouping import group_runs
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table
from dagrec_cli.runs.folder import SWEEP_REQUEST, RunFolder
from dagrec_cli.runs.record import SweepRequest, read_record, write_record
from dagrec_cli.runs.state import SWEEP, TRAINING, check_free, state_of

if TYPE_CHECKING:
    from hydra.conf import HydraConf

FAILED = "failed"
GIVEN = "hydra.sweep.dir="
NUMBER = re.compile(r"\$\\?\{hydra\\?[:.]job\.num\\?\}")  # Hydra escapes it in arguments
NUMBERED = "use ${hydra.job.num} in hydra.sweep.subdir"
NOT_REACHED = "not reached"
LISTED = 5  # names in a message


class CombinationSweeper(JobSweeper):
    """Runs every combination and writes one table; takes the place of Hydra's ``basic`` sweeper.

    Parameters
    ----------
    max_batch_size
        Jobs that the launcher gets at a time; None for all of them.
    params
        Values by setting, as on the command line.
    """

    def __init__(
        self, *, max_batch_size: Count | None, params: Mapping[str, str] | None = None
    ) -> None:
        self._max_batch_size = max_batch_size
        self._params = [f"{key!s}={value}" for key, value in (params or {}).items()]

    def sweep(self, arguments: list[str]) -> None:
        """Run what is not done, in the newest folder with these arguments or in a new one.

        Raises
        ------
        DagrecError
            If a setting or a folder keeps it from beginning.
        KeyboardInterrupt
            If the user stops it, after the table over what has finished.
        SystemExit
            If a job did not finish.
        """
        config, path = self._config, Path(self._config.hydra.sweep.dir)
        is_given = any(word.startswith(GIVEN) for word in overrides_of(config.hydra)["hydra"])
        if not is_given and not config.rerun:
            path = newest_sweep(path.parent, arguments) or path
        path = path.absolute()
        check_free(path, SWEEP, "hydra.sweep.dir")
        engine = Engine(config, self._context, path)
        jobs = jobs_of(engine, [*self._params, *arguments])
        is_other = not config.rerun and _begun_with(path) not in (None, arguments)
        for job in jobs:
            check_free(job.folder, TRAINING, "hydra.sweep.subdir")
            check_own_folders(job.folder, path)
            if is_other:
                job.check_kept()
        folder = RunFolder(path)
        with folder.locked("hydra.sweep.dir"):
            write_record(folder, SweepRequest(arguments))
            folder.write_text("multirun.yaml", OmegaConf.to_yaml(config))
            n_failed = self._run(engine, jobs, folder)
        if n_failed:
            sys.exit(1)

    def _run(self, engine: Engine, jobs: Sequence[Job], folder: RunFolder) -> int:
        """Run jobs, write and print table and report; return how many jobs did not finish."""
        size = self._max_batch_size or len(jobs)
        try:
            with engine.display(len(jobs)) as display:
                for begin in range(0, len(jobs), size):
                    engine.run(jobs[begin : begin + size], display, resume=not self._config.rerun)
        except KeyboardInterrupt as stop:
            if not _broke_off_import(stop):
                _show_sweep(engine, jobs, folder, display.reached)
            raise
        try:
            return _show_sweep(engine, jobs, folder, display.reached)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(CONTINUES) from stop


def register_sweeper() -> None:
    """Make the sweeper known to Hydra as ``basic``, the one that is there without a choice.

    A choice of ours in ``configs/train.yaml`` would win over that of an experiment such as
    ``experiment=search``.
    """
    register(CombinationSweeper)
    node = basic_sweeper.BasicSweeperConf(_target_=f"{PLUGINS}.{CombinationSweeper.__name__}")
    ConfigStore.instance().store(group="hydra/sweeper", name="basic", node=node, provider="dagrec")


def sweep_parts(hydra: "DictConfig | HydraConf") -> None:
    """Run the parts of a plain ``dagrec train``, as a sweep of one combination.

    Parameters
    ----------
    hydra
        Hydra's own settings in that command.
    """
    given = overrides_of(hydra)
    words = [word.replace("hydra.run.dir=", GIVEN, 1) for word in given["hydra"]]
    words = [*words, *given["task"], "hydra.mode=MULTIRUN"]
    loader = GlobalHydra.instance().config_loader()
    config = loader.load_configuration("train", words, RunMode.MULTIRUN)
    sweeper = CombinationSweeper(max_batch_size=None)
    sweeper.setup(
        hydra_context=HydraContext(loader, Callbacks()), task_function=sweep_parts, config=config
    )
    sweeper.sweep(given["task"])


def newest_sweep(below: Path, overrides: Sequence[str]) -> Path | None:
    """Return the newest folder whose sweep was begun with these overrides, in this order."""
    folders = sorted((file.parent for file in below.glob(f"*/{SWEEP_REQUEST}")), reverse=True)
    return next((folder for folder in folders if _begun_with(folder) == list(overrides)), None)


def _begun_with(folder: Path) -> list[str] | None:
    """Return what a sweep was begun with; None if there is none, or nobody knows."""
    try:
        return read_record(folder, SweepRequest).overrides
    except (OSError, RunError):  # damaged: begin anew
        return None


def jobs_of(engine: Engine, words: Sequence[str]) -> list[Job]:
    """Return a job per combination of values, each with the folder that Hydra would give it.

    A combination whose split has parts is a job per part.

    Raises
    ------
    ConfigError
        If there are too many jobs, or they would share a folder, or one is not known before its job
        runs.
    HydraException
        If a word does not fit the config of ``dagrec train``.
    """
    overrides = {override.get_key_element(): override for override in engine.parse(words)}
    check_number(prod(map(count_values, overrides.values())))
    (combinations,) = basic_sweeper.BasicSweeper.split_arguments(
        list(overrides.values()), max_batch_size=None
    )
    common = set.intersection(*map(set, combinations)) if len(combinations) > 1 else set()
    jobs = []
    for number, given in enumerate(combinations):
        config = engine.compose(given, number)
        folder = Path(os.path.abspath(engine.folder / _subdir(config)))
        # What names look up once, such as ${now:…}, the next ones find the same.
        OmegaConf.copy_cache(from_config=config, to_config=engine.config)
        is_told = len(combinations) > 1 or n_parts(config) == 1  # else the part tells jobs apart
        words = [word for word in given if is_told and word not in common]
        # A launch of some jobs counts anew, so it must not look up their numbers.
        fixed = tuple(NUMBER.sub(str(number), word) for word in given)
        jobs.append(Job(" ".join([f"job {number}", *words]), fixed, folder, config, number))
    _check_apart(jobs, engine.folder)
    parts: list[Job] = []
    for job in jobs:
        parts += by_part(job)
        check_number(len(parts))
    return parts


def _subdir(config: DictConfig) -> str:
    try:
        with as_hydra_config(config):
            return str(config.hydra.sweep.subdir)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"hydra.sweep.subdir is not known before its job runs ({first_line(error)}); "
            f"{NUMBERED}."
        ) from error


def _check_apart(jobs: Sequence[Job], folder: Path) -> None:
    """Raise ConfigError if a job would write where another one does, or the sweep itself."""
    sweep = Path(os.path.realpath(folder))
    users: dict[Path, list[str]] = {sweep: ["the sweep"]}
    for job in jobs:
        users.setdefault(Path(os.path.realpath(job.folder)), []).append(f"job {job.number}")
    for place, names in users.items():
        if len(names) > 1:
            more = len(names) - LISTED
            shown = names[:LISTED] + [f"{more} more"] * (more > 0)
            listed = f"{', '.join(shown[:-1])} and {shown[-1]}"
            raise ConfigError(f"{listed} would share the folder {place}; {NUMBERED}.")
    for outer, inner in pairwise(sorted(users)):  # by part, so what a folder holds comes after it
        if outer != sweep and inner.is_relative_to(outer):
            raise ConfigError(
                f"{users[outer][0]} would have the folder {outer}, which holds that of "
                f"{users[inner][0]}; {NUMBERED}."
            )


def _broke_off_import(error: BaseException | None) -> bool:
    """Return whether Ctrl-C came during an import.

    Such a package must not be imported again: pandas and torch then end the process with a
    segmentation fault, matplotlib with an error.
    """
    while error is not None:
        frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
        if any(name.startswith("<frozen importlib") for name in frames):
            return True
        error = error.__context__
    return False


def _show_sweep(
    engine: Engine, jobs: Sequence[Job], folder: RunFolder, reached: Collection[Path]
) -> int:
    """Write and print table and report; return how many jobs did not finish."""
    from dagrec_cli.loggers.base import SafeLogger
    from dagrec_cli.reporting.report import ReportSheet

    config = engine.config
    entries = sweep_entries(jobs, reached)
    columns = metrics_of(config.metrics)
    table = sweep_table(entries, n_jobs=len(jobs), metric=config.trainer.monitor, metrics=columns)
    sheet = ReportSheet([table, *strata_tables(entries, "sweep_strata")], entries)
    write_tables(folder, "dagrec train -m", [sheet], "Sweep folder", notes=config.notes)
    add_reasons(table, folder)
    if any(not entry.reason for entry in entries):  # else its logger may be what is missing
        logger = build(config.logger, "logger")
        SafeLogger(lambda line: sys.stderr.write(f"{line}\n")).end_sweep(logger, folder)
    return sum(bool(entry.reason) for entry in entries)


def sweep_entries(jobs: Sequence[Job], reached: Collection[Path]) -> list[TableRow]:
    """Return an entry per combination without its seeds, then one per job that did not finish.

    Parameters
    ----------
    reached
        Folders of the jobs that were run now, or are reused; of others it is not known whether
        their folders hold what they would make.
    """
    states = [(job, state_of(job.folder)) for job in jobs]
    finished = [job.folder for job, state in states if state.run and job.folder in reached]
    broken = [
        TableRow(job.name, [], state.reason or NOT_REACHED)
        for job, state in states
        if job.folder not in finished
    ]
    return [*(group_runs(finished, None) if finished else []), *broken]


def sweep_table(entries: Sequence[TableRow], *, n_jobs: int, **about: Any) -> Table:
    """Return the comparison of the finished rows, and a row for each job that did not finish."""
    broken = [entry for entry in entries if entry.reason]
    ended = f"{len(broken)} not finished" if broken else "all finished"
    table = compare_rows(entries, title=f"{plural(n_jobs, 'job')}, {ended}", **about)
    table.rows += [{"row": e.name, "mark": FAILED, "reason": e.reason} for e in broken]
    table.name = "sweep"
    return table


def add_reasons(table: Table, folder: RunFolder) -> None:
    """Give the table's CSV, which has no notes, a column for why jobs did not finish."""
    if any("reason" in row for row in table.rows):
        with_reason = Table(table.title, [*table.columns, "reason"], table.rows)
        folder.write_text(f"{table.name}.csv", with_reason.to_csv())
