"""The folder of a sweep: what it was begun with, which jobs have ended, one table over them.

A job's ``result.json`` says what came of it. Any launcher on any machine leaves that file, and a
job without one did not finish. ``sweep_request.json`` is written anew when a sweep goes on, so a
result that is newer belongs to this sitting.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from dagrec_cli import __version__
from dagrec_cli.config.build import build, plain
from dagrec_cli.config.own import code_sha256
from dagrec_cli.data.cache import CachedSource
from dagrec_cli.data.invalid import plural
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.errors import DagrecError, RunError, visible
from dagrec_cli.reporting.comparison import Entry, compare
from dagrec_cli.reporting.grouping import group_runs
from dagrec_cli.reporting.tables import Table, short
from dagrec_cli.runs.claim import SWEEP_REQUEST as REQUEST
from dagrec_cli.runs.folder import CONFIG, RESULT, RunFolder, is_in_use
from dagrec_cli.runs.provenance import config_hash
from dagrec_cli.runs.resume import read_beginning
from dagrec_cli.runs.run import Run

FAILED = "failed"


def write_sweep_request(folder: RunFolder, overrides: Sequence[str]) -> None:
    """Write the overrides that a sweep was begun with; a new sitting begins."""
    folder.write_json(REQUEST, {"overrides": list(overrides)})


def newest_sweep(below: Path, overrides: Sequence[str]) -> Path | None:
    """Return the newest folder whose sweep was begun with these overrides, in this order."""
    for file in sorted(below.glob(f"*/{REQUEST}"), reverse=True):
        try:
            if json.loads(read_plain(file))["overrides"] == list(overrides):
                return file.parent
        except (
            OSError,
            RunError,
            ValueError,
            LookupError,
            TypeError,
        ):  # damaged, so not to go on with
            continue
    return None


def is_sweep(path: Path) -> bool:
    """Return whether a folder is that of a sweep."""
    return (path / REQUEST).is_file()


def has_begun(path: Path, sweep: Path) -> bool:
    """Return whether anything was written to a job's folder in this sitting."""
    return _is_newer(path, sweep)


def has_ended(path: Path, sweep: Path) -> bool:
    """Return whether a job came to a result, or was found finished, in this sitting."""
    return _is_newer(path / RESULT, sweep)


def _is_newer(path: Path, sweep: Path) -> bool:
    """Compare times by the clock of the file system, which all machines share."""
    try:
        return path.stat().st_mtime_ns >= (sweep / REQUEST).stat().st_mtime_ns
    except OSError:
        return False


def write_death(path: Path, text: str, overrides: Sequence[str]) -> None:
    """Write a result on behalf of a job whose process died."""
    content = {"status": FAILED, "error": f"its process died: {text}", "overrides": [*overrides]}
    RunFolder(path).write_json(RESULT, content)


def is_begun(config: DictConfig, path: Path) -> bool:
    """Return whether a run folder was begun with this config, on data of the same content.

    Raises
    ------
    DagrecError
        If the data cannot be read.
    """
    try:
        begun, before = read_beginning(path), Run(path, {}).config
    except RunError:
        return False
    if config_hash(before) != config_hash(plain(config)):
        return False
    if begun.code_sha256 != code_sha256(plain(config)):
        return False
    source: CachedSource = build(config.data, "data")
    return source.sha256() == begun.data_sha256


def finished_run(path: Path) -> Run | None:
    """Return the run in a folder if this version of dagrec finished it and its files are whole."""
    try:
        run = Run.load(path)
        if not run.is_finished or run.version not in ("", __version__):
            return None
        run.check()
    except (DagrecError, OSError):
        return None
    return run


def reason(path: Path) -> str:
    """Return why a job did not finish; empty if it did."""
    if is_in_use(path):
        return "in use by another process"
    try:
        run = Run.load(path)
        if not run.is_finished:
            return run.reason
        run.check()
    except (DagrecError, OSError) as error:
        if not (path / RESULT).exists():
            return "stopped without a result" if path.is_dir() else "did not start"
        return str(error)
    return ""


def outcome(path: Path, sweep: Path) -> tuple[str, bool]:
    """Return what came of a job that has ended, in words, and whether it finished."""
    try:
        run = Run.load(path)
    except (DagrecError, OSError) as error:
        return visible(f"failed: {error}"), False
    if not run.is_finished:
        return visible(f"{run.result['status']}: {run.reason}"), False
    metrics = run.result.get("metrics", {})
    before = "finished before: " if is_sweep(sweep) and not _is_newer(path / CONFIG, sweep) else ""
    return (
        f"{before}accuracy {short(metrics.get('accuracy'))}, nDCG {short(metrics.get('ndcg'))}",
        True,
    )


def sweep_entries(jobs: Mapping[Path, str]) -> list[Entry]:
    """Return an entry per combination without its seeds, then one per job that did not finish.

    Parameters
    ----------
    jobs
        Names of the jobs by their folders.
    """
    reasons = {path: reason(path) for path in jobs}
    finished = [path for path, why in reasons.items() if not why]
    entries = group_runs(finished, None) if finished else []
    return entries + [Entry(jobs[path], [], why) for path, why in reasons.items() if why]


def sweep_table(entries: Sequence[Entry], *, n_jobs: int, metric: str) -> Table:
    """Return the comparison of the finished rows, and a row for each job that did not finish."""
    broken = [entry for entry in entries if entry.reason]
    told = f"{len(broken)} not finished" if broken else "all finished"
    title = f"{plural(n_jobs, 'job')}, {told}"
    table = compare(entries, title=title, metric=metric)
    table.rows += [{"row": e.name, "mark": FAILED, "reason": e.reason} for e in broken]
    table.name = "sweep"
    return table


def save_sweep_table(table: Table, folder: RunFolder) -> None:
    """Write the table's files; the CSV, which has no notes, gets a column for the reasons."""
    table.save(folder)
    if any("reason" in row for row in table.rows):
        with_reason = Table(table.title, [*table.columns, "reason"], table.rows)
        folder.write_text(f"{table.name}.csv", with_reason.to_csv())
