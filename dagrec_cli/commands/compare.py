"""``dagrec compare``: any run folders in one table."""

import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import run_with_hydra
from dagrec_cli.config.build import check_settings
from dagrec_cli.config.where import user_path
from dagrec_cli.config.words import is_path, quoted
from dagrec_cli.errors import ConfigError


def main() -> None:
    """Turn plain arguments into the ``runs`` setting, compose the config and run."""
    plain = [word for word in sys.argv[1:] if not word.startswith("-") and is_path(word)]
    if plain:
        others = [word for word in sys.argv[1:] if word not in plain]
        sys.argv = [sys.argv[0], *others, f"runs=[{','.join(map(quoted, plain))}]"]
    run_with_hydra("compare", compare)


def compare(config: DictConfig) -> None:
    """Print and write the table."""
    from dagrec_cli.app.output import command_folder, write_tables
    from dagrec_cli.config.metric_names import Averages, Metric, averages_of, metrics_of
    from dagrec_cli.reporting.comparison import compare_averages, strata_tables
    from dagrec_cli.reporting.grouping import group_runs
    from dagrec_cli.reporting.report import ReportSheet
    from dagrec_cli.runs.state import TABLES
    from dagrec_cli.training.progress import showing

    names = str | list[str]
    kinds = {"metric": Metric, "average": Averages, "overwrite": bool, "notes": bool}
    check_settings(config, "metrics", runs=names, by=names | None, **kinds)
    metrics = metrics_of(config.metrics)
    averages_of(config.average, config.metric)  # a wrong one stops here
    if not config.runs:
        raise ConfigError("no runs given; write dagrec compare FOLDER [FOLDER …].")
    folder = command_folder(TABLES, asked=config.overwrite)
    by = None if config.by is None else _as_list(config.by)
    folders = [user_path(run) for run in _as_list(config.runs)]
    about = {"title": "Comparison", "metric": config.metric, "metrics": metrics}
    with showing("comparing"):
        entries = group_runs(folders, by)
        # The first row is the reference: by name, since folders are named by time and a run that is
        # repeated would change it.
        entries.sort(key=lambda entry: (bool(entry.reason), entry.name if entry.runs else ""))
        tables = compare_averages(entries, config.average, **about)
        tables += strata_tables(entries, "strata")
    with folder.locked():
        write_tables(folder, "dagrec compare", [ReportSheet(tables, entries)], notes=config.notes)
    if any(entry.reason for entry in entries):
        sys.exit(1)


def _as_list(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)
