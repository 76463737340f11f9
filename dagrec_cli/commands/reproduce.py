"""``dagrec reproduce``: the rows of a table, run or reused, and what comes back."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import own_folders

if TYPE_CHECKING:
    from dagrec_cli.jobs.tables import Sheet


def reproduce(config: DictConfig) -> None:
    """Run every row that is not finished, then write and print the tables."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from dagrec_cli.app.output import say_report_is_drawn, show_table
    from dagrec_cli.config.build import check_settings
    from dagrec_cli.config.kinds import Count
    from dagrec_cli.evaluation.metrics import Metric
    from dagrec_cli.jobs.tables import read_tables, run_sheets
    from dagrec_cli.reporting.report import ReportSheet, write_report
    from dagrec_cli.runs.claim import TABLES, check_free
    from dagrec_cli.runs.folder import RunFolder
    from dagrec_cli.training.progress import progress

    folder = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    check_free(folder.path, TABLES)
    name = HydraConfig.get().runtime.choices["table"]
    try:
        settings: Any = OmegaConf.to_container(config, resolve=True)
        settings["own_configs"] = own_folders(HydraConfig.get())
        check_settings(
            config,
            table=Any,
            seeds=Any,
            overrides=Any,
            n_jobs=Count,
            resume=bool,
            metric=Metric,
            progress=Any,
        )
        sheets = read_tables(name, settings["table"], settings, folder.path.parent)
        with progress(config.progress) as display:
            run_sheets(sheets, settings, display)
    finally:
        folder.remove_if_empty()
    folder = RunFolder(folder.path)
    pages = [ReportSheet(sheet.tables(settings), sheet.entries) for sheet in sheets]
    with folder.locked():
        for table in (table for page in pages for table in page.tables):
            table.save(folder)
            show_table(table)
        say_report_is_drawn()
        report = write_report(folder, f"dagrec reproduce table={name}", pages)
    sys.stdout.write(f"Tables: {folder.path}\nReport: {report}\n")
    sys.exit(_say_problems(sheets))


def _say_problems(sheets: "Sequence[Sheet]") -> int:
    """Print what failed or missed what it must give, and return the exit code."""
    problems = [line for sheet in sheets for line in sheet.problems]
    for line in problems:
        sys.stderr.write(f"dagrec reproduce: {line}\n")
    return 1 if problems else 0
