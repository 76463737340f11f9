"""``dagrec reproduce``: the rows of a table, run or reused, and what comes back."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import own_folders
from dagrec_cli.config.build import check_settings
from dagrec_cli.config.kinds import Count
from dagrec_cli.config.where import config_flag
from dagrec_cli.errors import short_path

if TYPE_CHECKING:
    from dagrec_cli.jobs.tables import TableRun
    from dagrec_cli.reporting.report import ReportSheet


def reproduce(config: DictConfig) -> None:
    """Run every row that is not finished, then write and print the tables."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from dagrec_cli.app.output import command_folder, write_tables
    from dagrec_cli.config.metric_names import Averages, Metric
    from dagrec_cli.jobs.run import engine_of
    from dagrec_cli.jobs.tables import ROWS, Tune, read_tables
    from dagrec_cli.jobs.tune import tune_rows, write_experiments
    from dagrec_cli.runs.state import TABLES

    hydra = HydraConfig.get()
    folder = command_folder(TABLES, asked=True)
    name = hydra.runtime.choices["table"]
    check_settings(
        config,
        *("table", "seeds", "overrides", "metrics", "progress"),
        n_jobs=Count,
        resume=bool,
        notes=bool,
        metric=Metric,
        average=Averages | None,
        tune=Tune | None,
    )
    settings: Any = OmegaConf.to_container(config, resolve=True)
    settings["own_configs"] = own_folders(hydra)
    words = [f"progress={config.progress}"]
    if "n_jobs" in (hydra.launcher or ()):
        words.append(f"hydra.launcher.n_jobs={config.n_jobs}")
    engine = engine_of(hydra, folder.path.parent / ROWS, *words)
    runs = read_tables(name, settings["table"], settings, engine)
    experiments = tune_rows(runs, engine, settings)
    # equal rows run once
    jobs = {job.folder: job for run in runs for row in run.jobs for job in row}
    with engine.display(len(jobs)) as display:
        engine.run(list(jobs.values()), display, resume=config.resume)
    with folder.locked():
        sheets = _sheets(runs, settings)
        write_tables(folder, f"dagrec reproduce table={name}", sheets, notes=config.notes)
        write_experiments(folder, experiments)
    if experiments:
        sys.stdout.write(_again(short_path(folder.path), name))
    sys.exit(_say_problems(runs))


def _sheets(runs: "Sequence[TableRun]", settings: Mapping[str, Any]) -> "list[ReportSheet]":
    """Return what came of tables that have run, each ``vary`` followed by its mean ranks."""
    from dagrec_cli.config.metric_names import averages_of
    from dagrec_cli.reporting.over_data import rank_sheet
    from dagrec_cli.reporting.report import ReportSheet

    sheets = []
    for table in dict.fromkeys(run.table for run in runs):
        alike = [run for run in runs if run.table == table]
        of_table = [ReportSheet(run.tables(settings), run.table_rows) for run in alike]
        content, metric = alike[0].content, settings["metric"]
        by_data = dict(zip((run.variant for run in alike), of_table, strict=True))
        about = table.replace("/", "_"), content.title or table
        ranks = rank_sheet(*about, by_data, metric, averages_of(content.average, metric))
        sheets += of_table
        if ranks:
            for each in ranks.tables:
                each.notes.append(alike[0].tuning)
            sheets.append(ranks)
    return sheets


def _again(folder: Path, table: str) -> str:
    """Return how to make a table again from what its tuning left."""
    place, copy = config_flag() or ["-cd", str(folder)], ""
    if config_flag():  # there is room for one folder on a command line
        copy = f"cp -r {quote(str(folder / 'experiment'))} {quote(place[1])} && "
    command = join(["dagrec", "reproduce", *place, f"table={table}", "tune=chosen"])
    return f"Again without tuning: {copy}{command}\n"


def _say_problems(runs: "Sequence[TableRun]") -> int:
    """Print what failed or missed what it must give, and return the exit code."""
    problems = [line for run in runs for line in run.problems]
    for line in problems:
        sys.stderr.write(f"dagrec reproduce: {line}\n")
    return 1 if problems else 0
