"""The tables of ``configs/table``: what a file may hold, its rows as jobs, what came of them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from dagrec_cli.config.build import plain, seeds_of
from dagrec_cli.config.deciding import config_hash
from dagrec_cli.config.kinds import Natural
from dagrec_cli.config.metric_names import Averages, averages_of, metrics_of
from dagrec_cli.config.where import read_yaml
from dagrec_cli.errors import ConfigError
from dagrec_cli.jobs.job import Job, by_part, check_number, without_hydra
from dagrec_cli.jobs.run import Engine
from dagrec_cli.reporting.comparison import compare_averages, strata_tables
from dagrec_cli.reporting.rows import TableRow, by_reason
from dagrec_cli.reporting.tables import Table
from dagrec_cli.reporting.verdict import Row, Text, verdict_tables
from dagrec_cli.runs.state import state_of

BY_COMMAND = ("seeds", "metrics", "average", "tune")  # of a table, if the command has them too
Tune = Natural | Literal["chosen"]  # by an earlier tuning, which left experiment/tuned/*.yaml
UNTUNED = (
    "Untuned: every row has the settings of its YAML; tune=N tries N on validation steps first."
)
ROWS = "rows"  # folder of all rows, beside those of the tables


class Variant(Struct, forbid_unknown_fields=True):
    """What a table is made on, where it is made on several."""

    name: Text
    overrides: list[str]


class RowsTable(Struct, forbid_unknown_fields=True):
    """A table of rows; one for each entry of ``vary``. ``metrics`` are more columns.

    An entry is an override, or several under a name. ``tune`` is how many trials each row gets
    before it is run, or ``chosen`` to take the settings that an earlier tuning chose.
    """

    rows: Annotated[list[Row], Meta(min_length=1)]
    title: Text | None = None
    base: list[str] = []
    seeds: tuple[int, ...] = (0,)
    vary: Annotated[list[str | Variant], Meta(min_length=1)] | None = None
    metrics: list[str] = []
    average: Averages = "step"
    tune: Tune = 0

    @property
    def variants(self) -> list[Variant]:
        """What it is made on; one variant without a name where nothing varies."""
        entries = self.vary or [Variant("", [])]
        return [each if isinstance(each, Variant) else Variant(each, [each]) for each in entries]


class Tables(Struct, forbid_unknown_fields=True):
    """Several tables, one after another."""

    tables: Annotated[list[Text], Meta(min_length=1)]
    title: str = ""


@dataclass
class TableRun:
    """One table: its rows as jobs.

    Attributes
    ----------
    table
        Its name, and that of others that ``vary`` makes of the same YAML.
    name
        For files: ``summary``, ``honest_split_paper``.
    title
        For reading.
    content
        Of the YAML, with what the command puts in its place.
    variant
        What of several it is made on; empty if there is one.
    words
        Overrides of each row.
    jobs
        Of each row: one, or one per part of its split.
    tuning
        What is to be said of how settings were chosen.
    chosen
        The table of what was, if anything was.
    problems
        Lines about rows that failed or miss what they must give; filled by :meth:`tables`.
    """

    table: str
    name: str
    title: str
    content: RowsTable
    variant: str
    words: Sequence[Sequence[str]]
    jobs: list[list[Job]]
    tuning: str = UNTUNED
    chosen: Table | None = None
    problems: list[str] = field(default_factory=list)

    @cached_property
    def table_rows(self) -> list[TableRow]:
        """What came of each row, once all have run."""
        rows = []
        for row, jobs in zip(self.content.rows, self.jobs, strict=True):
            states = [state_of(job.folder) for job in jobs]
            reasons = [state.reason for state in states if not state.run]
            runs = [state.run for state in states if state.run]
            # A row that lacks a part is about other test pairs than the rows beside it.
            rows.append(TableRow(row.name, [] if reasons else runs, "".join(reasons[:1])))
        return rows

    def tables(self, settings: Mapping[str, Any]) -> list[Table]:
        """Return the comparison of all rows and, where numbers are published, the verdicts."""
        table_rows = self.table_rows
        self.problems = [
            f"{self.name}: row {' and '.join(map(repr, names))} failed: {reason}"
            for reason, names in by_reason(table_rows).items()
        ]
        about = {"title": self.title, "metric": settings["metric"], "name": self.name}
        average, metrics = self.content.average, self.content.metrics
        tables = compare_averages(table_rows, average, metrics=metrics, **about)
        for table in tables:
            table.notes.append(self.tuning)
        pairs = list(zip(self.content.rows, table_rows, strict=True))
        verdicts, missed = verdict_tables(pairs, tables[0].rows, self.title, self.name)
        self.problems += missed
        tables += [*strata_tables(table_rows, f"{self.name}_strata"), *verdicts]
        return [*tables, *([self.chosen] if self.chosen else [])]


def read_tables(
    name: str,
    table: Any,
    settings: Mapping[str, Any],
    engine: Engine,
    inside: Sequence[str] = (),
) -> list[TableRun]:
    """Return the runs of a table: one, one per ``vary``, or those of every named table.

    Parameters
    ----------
    name
        The table's name, for files.
    table
        Content of its YAML, as plain containers.
    settings
        Those of the command, and ``own_configs``, the folders of the user's own.
    engine
        Composes the rows; their folders are in its own.
    inside
        Names of the tables that this one is part of.

    Raises
    ------
    ConfigError
        If the YAML, seeds or overrides are not as they must be.
    """
    content = checked_table(name, table)
    if name in inside:
        raise ConfigError(f"table {name} is part of itself ({' > '.join([*inside, name])}).")
    if isinstance(content, Tables):
        parts = {part: _read_table(part, settings["own_configs"]) for part in content.tables}
        return [
            run
            for part, of_part in parts.items()
            for run in read_tables(part, of_part, settings, engine, [*inside, name])
        ]
    given = {key: settings[key] for key in BY_COMMAND if settings[key] is not None}
    content = msgspec.structs.replace(content, **given)
    claimed = [metric for row in content.rows for metric in row.claimed]
    content.metrics = list(metrics_of([*content.metrics, *claimed]))
    averages_of(content.average, settings["metric"])  # a wrong one stops here
    seeds = seeds_of(0, content.seeds)
    if not isinstance(settings["overrides"], list):
        raise ConfigError(
            f"overrides is {settings['overrides']!r}; give a list: overrides=[trainer.epochs=5]."
        )
    shared = [*content.base, f"seeds={seeds}".replace(" ", "")]
    runs = []
    check_number(len(content.variants) * len(content.rows))
    for varied in content.variants:
        suffix, title = (f"_{slug(varied.name)}", f", {varied.name}") if varied.name else ("", "")
        file = f"{name}{suffix}".replace("/", "_")
        common = [*shared, *varied.overrides]
        of_rows = [[*common, *row.overrides, *settings["overrides"]] for row in content.rows]
        jobs: list[list[Job]] = []
        for row, words in zip(content.rows, of_rows, strict=True):
            try:
                jobs.append(by_part(row_job(engine, f"{file}: {row.name}", words)))
            except Exception as error:
                error.add_note(f"table {name}, row {row.name!r}")
                raise
        title = f"{content.title or name}{title}"
        runs.append(TableRun(name, file, title, content, varied.name, of_rows, jobs))
    return runs


def checked_table(name: str, table: Any) -> RowsTable | Tables:
    """Return a table, from its YAML's content as plain containers.

    Raises
    ------
    ConfigError
        If it is not as it must be.
    """
    is_several = isinstance(table, dict) and "tables" in table
    try:
        if is_several:
            return msgspec.convert(table, Tables)
        content = msgspec.convert(table, RowsTable)
    except msgspec.ValidationError as error:
        reason = str(error).replace(" - at `$.", " at `").replace(" - at `$`", "")
        raise ConfigError(f"table {name}: {reason}; see configs/table/*.yaml.") from error
    for row in content.rows:
        if row.paper and not (row.reference and row.tolerance):
            raise ConfigError(
                f"table {name}: row {row.name!r} has a paper but no reference or tolerance; "
                "say what its code gives, and how near ours must be."
            )
    for kind, names in (
        ("rows", [row.name for row in content.rows]),
        ("entries of vary", [slug(variant.name) for variant in content.variants]),
    ):
        (most, times), *_ = Counter(names).most_common()
        if times > 1:
            raise ConfigError(
                f"table {name}: {times} {kind} are called {most!r}; give each its own name."
            )
    return content


def row_job(engine: Engine, name: str, words: Sequence[str]) -> Job:
    """Return the job of a row; equal rows of two tables are one job.

    Its folder is named by what decides its files. Torch gets one thread, since rows run side by
    side, and the same figures come back from any launcher.
    """
    config = engine.compose(words)
    digest = config_hash(plain(without_hydra(config)), with_place=True)
    return Job(name, (*words, "threads=1"), engine.folder / digest[:16], config)


def slug(override: str) -> str:
    """Return an override or a name as a part of a file's name."""
    return "".join(c if c.isalnum() else "_" for c in override)


def _read_table(name: str, own_configs: Sequence[str]) -> Mapping[str, Any]:
    content, places = read_yaml("table", name, own_configs)
    if content is None:
        raise ConfigError(f"table {name} does not exist; its file would be {places}.")
    return content
