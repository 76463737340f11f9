"""The folder of a sweep: what it was begun with, which jobs have ended, one table over them.

A job's ``result.json`` says what came of it. Any launcher on any machine leaves that file, and a
job without one did not finish. ``sweep_request.json`` is written anew when a sweep goes on, so a
result that is newer belongs to this sitting.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from dagrec_cli.data.invalid import plural
from dagrec_cli.data.plain_files import read_plain
from dagrec_cli.errors import DagrecError, RunError, visible
from dagrec_cli.reporting.comparison import Entry, compare
from dagrec_cli.reporting.grouping import group_runs
from dagrec_cli.reporting.tables import Table, short
from dagrec_cli.runs.claim import SWEEP_REQUEST as REQUEST
from dagrec_cli.runs.folder import CONFIG, RESULT, RunFolder
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import state_of

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
    reasons = {path: state_of(path).reason for path in jobs}
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
