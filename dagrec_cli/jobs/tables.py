"""The tables of ``configs/table``: which rows they have, and what came of them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from dagrec_cli.config.build import seeds_of
from dagrec_cli.config.table import check_table
from dagrec_cli.config.where import config_dir
from dagrec_cli.errors import ConfigError
from dagrec_cli.jobs.row_jobs import ROWS, RowJob, run_all
from dagrec_cli.jobs.sweep_folder import outcome
from dagrec_cli.reporting.comparison import Entry, basis, by_reason, compare
from dagrec_cli.reporting.tables import Table, heading
from dagrec_cli.reporting.verdict import COMPARED, judge
from dagrec_cli.training.progress import Progress

VERDICT = "difference: ours − paper. reproduced: as published within the row's tolerance."


@dataclass
class Sheet:
    """One table: its rows as jobs.

    Attributes
    ----------
    name
        For files: ``summary``, ``honest_split_paper``.
    title
        For reading.
    rows
        The rows of the YAML.
    jobs
        One per row.
    problems
        Lines about rows that failed or miss what they must give; filled by :meth:`tables`.
    """

    name: str
    title: str
    rows: Sequence[Mapping[str, Any]]
    jobs: Sequence[RowJob]
    problems: list[str] = field(default_factory=list)

    @cached_property
    def entries(self) -> list[Entry]:
        """What came of each row, once all have run."""
        found = []
        for row, job in zip(self.rows, self.jobs, strict=True):
            run = job.finished
            found.append(Entry(row["name"], [run] if run else [], "" if run else job.reason))
        return found

    def tables(self, settings: Mapping[str, Any]) -> list[Table]:
        """Return the comparison of all rows and, where numbers are published, the verdicts."""
        entries = self.entries
        self.problems = [
            f"{self.name}: row {' and '.join(map(repr, names))} failed: {reason}"
            for reason, names in by_reason(entries).items()
        ]
        table = compare(entries, title=self.title, metric=settings["metric"])
        table.name = self.name
        judged = [
            (r, e) for r, e in zip(self.rows, entries, strict=True) if r.get("paper") and e.runs
        ]
        return [table, self._verdicts(judged)] if judged else [table]

    def _verdicts(self, judged: Sequence[tuple[Mapping[str, Any], Entry]]) -> Table:
        lines = []
        for row, entry in judged:
            result = entry.runs[0].result
            verdict = judge(row, list(result["per_seed"].values()))
            if not verdict.is_as_it_must:
                self.problems.append(f"{self.name}: row {entry.name!r}: {verdict.text}")
            for metric in COMPARED:
                paper, ours = row["paper"][metric], result["metrics"][metric]
                lines.append(
                    {
                        "row": entry.name,
                        "metric": heading(metric),
                        "paper": float(paper),
                        "ours": ours,
                        "difference": ours["mean"] - paper,
                        "verdict": verdict.text,
                    }
                )
        columns = ["row", "metric", "paper", "ours", "difference", "verdict"]
        notes = [VERDICT, *basis([entry for _, entry in judged])]
        return Table(f"{self.title}: paper and ours", columns, lines, notes, f"{self.name}_paper")


def read_tables(
    name: str,
    table: Mapping[str, Any],
    settings: Mapping[str, Any],
    below: Path,
    inside: Sequence[str] = (),
) -> list[Sheet]:
    """Return the sheets of a table: one, one per ``vary``, or those of every named table.

    Parameters
    ----------
    name
        The table's name, for files.
    table
        Content of its YAML.
    settings
        ``seeds``, ``overrides`` and ``own_configs`` (folders) of the command.
    below
        Folder of the tables; rows go to ``rows/`` in it.
    inside
        Names of the tables that this one is part of.

    Raises
    ------
    ConfigError
        If the YAML, seeds or overrides are not as they must be.
    """
    check_table(name, table)
    if name in inside:
        raise ConfigError(f"table {name} is part of itself ({' > '.join([*inside, name])}).")
    own = settings["own_configs"]
    if "tables" in table:
        return [
            sheet
            for each in table["tables"]
            for sheet in read_tables(each, _read(each, own), settings, below, [*inside, name])
        ]
    seeds = seeds_of(0, table.get("seeds", [0]) if settings["seeds"] is None else settings["seeds"])
    if not isinstance(settings["overrides"], list):
        raise ConfigError(
            f"overrides is {settings['overrides']!r}; give a list, such as "
            "'overrides=[\"trainer.epochs=5\"]'."
        )
    shared = [*table.get("base", []), f"seeds={list(seeds)}".replace(" ", "")]
    sheets = []
    for varied in table.get("vary") or [None]:
        extra = [] if varied is None else [varied]
        jobs = []
        for row in table["rows"]:
            words = [*shared, *extra, *row["overrides"], *settings["overrides"]]
            try:
                jobs.append(RowJob.of(words, below / ROWS, own))
            except Exception as error:
                error.add_note(f"table {name}, row {row['name']!r}")
                raise
        suffix, title = ("", "") if varied is None else (f"_{_slug(varied)}", f", {varied}")
        file = f"{name}{suffix}".replace("/", "_")
        sheets.append(Sheet(file, f"{table.get('title') or name}{title}", table["rows"], jobs))
    return sheets


def run_sheets(sheets: Sequence[Sheet], settings: Mapping[str, Any], progress: Progress) -> None:
    """Run every job of the sheets that is not finished; equal jobs run once.

    Raises
    ------
    KeyboardInterrupt
        If the user stops it; says what the same command will do.
    """
    jobs = {job.folder: job for sheet in sheets for job in sheet.jobs}
    names = {
        job.folder: f"{sheet.name}: {row['name']}"
        for sheet in sheets
        for job, row in zip(sheet.jobs, sheet.rows, strict=True)
    }
    start, ended = time.monotonic(), count(1)

    def tell(job: RowJob) -> None:
        progress.step(number := next(ended))
        if settings["progress"] is not False:
            minutes, seconds = divmod(int(time.monotonic() - start), 60)
            text, _ = outcome(job.folder, job.folder.parent)
            progress.say(
                f"[{number}/{len(todo)} {minutes}:{seconds:02}] {names[job.folder]}: {text}"
            )

    n_jobs, resume = settings["n_jobs"], settings["resume"]
    todo = [job for job in jobs.values() if not (resume and job.is_done)]
    progress.start(f"rows ({len(jobs) - len(todo)} of {len(jobs)} at hand)", len(todo))
    try:
        run_all(todo, n_jobs, resume=resume, watch=tell, say=progress.say)
    except KeyboardInterrupt:
        then = "the same command goes on with the rest" if resume else "resume=true keeps what ran"
        raise KeyboardInterrupt(f"interrupted; {then}.") from None


def _slug(override: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in override)


def _read(name: str, own_configs: Sequence[str]) -> Mapping[str, Any]:
    from omegaconf import OmegaConf

    files = [Path(each, "table", f"{name}.yaml") for each in (*own_configs, str(config_dir()))]
    file = next((each for each in files if each.is_file()), None)
    if file is None:
        places = " or ".join(map(str, files))
        raise ConfigError(f"table {name} does not exist; its file would be {places}.")
    content: Any = OmegaConf.to_container(OmegaConf.load(file))
    return content  # type: ignore[no-any-return]
