"""Is a published row reproduced, and can it be? Paper and ours side by side, the verdict in words.

A row names what the paper prints, and what the published code really gives when it is run
(PAPER §9): the outcomes that a seed may have, and the range of its nDCG. Ours must give the latter
in every seed; the verdict then says whether the former comes back.

Of another work a row names what is published, and what its authors' notebook shows, which ours is
to be near. The verdict then says whether the former can be at all.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from dagrec_cli.config.metric_names import AnyMetric
from dagrec_cli.evaluation.ceiling import CEILINGS
from dagrec_cli.reporting.notes import basis
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table, heading

Text = Annotated[str, Meta(min_length=1)]

REPRODUCED = "reproduced"
COMPARED = ("accuracy", "ndcg", "f1")
VERDICT = "difference: ours − paper. reproduced: as published within the row's tolerance."

AS_NOTEBOOK = 0.02  # of a notebook's figure, whose seed is not given
CLAIM = (
    "bound: of the best function of what the row reads, chosen on its own test pairs; nothing that "
    f"reads as much gets above it on them. As its notebook: ours is within {AS_NOTEBOOK} of it."
)


class Published(Struct, forbid_unknown_fields=True):
    """What the paper prints."""

    accuracy: float
    ndcg: float
    f1: float
    seconds_per_epoch: float | None = None


class Reference(Struct, forbid_unknown_fields=True):
    """What the published code gives: pairs of accuracy and F1; lowest and highest nDCG."""

    outcomes: Annotated[list[tuple[float, float]], Meta(min_length=1)]
    ndcg: tuple[float, float]


class Tolerance(Struct, forbid_unknown_fields=True):
    """How near ours must be."""

    outcome: float
    ndcg: float


class Row(Struct, forbid_unknown_fields=True):
    """One row: overrides of ``dagrec train``, and what is published of it.

    ``paper`` needs what its code gives; ``published`` and ``notebook`` are figures by metric.
    """

    name: Text
    overrides: list[str]
    paper: Published | None = None
    reference: Reference | None = None
    tolerance: Tolerance | None = None
    published: dict[AnyMetric, float] = {}
    notebook: dict[AnyMetric, float] = {}
    why: str = ""

    @property
    def claimed(self) -> dict[str, None]:
        """The metrics of which there are published figures, or those of a notebook."""
        return dict.fromkeys([*self.published, *self.notebook])


class Verdict(NamedTuple):
    """The words, and whether the row gives what it must."""

    text: str
    is_as_it_must: bool


def verdict_tables(
    rows: Sequence[tuple[Row, TableRow]],
    compared: Sequence[Mapping[str, Any]],
    title: str,
    name: str,
) -> tuple[list[Table], list[str]]:
    """Return a table of each kind that there are rows of, and a line per row that misses.

    Parameters
    ----------
    rows
        Those of ``configs/table``, and what came of each.
    compared, title, name
        Of the comparison of all rows: its cells, what it is called, its files.
    """
    tables, missed = [], []
    if claims := [(row, of) for row, of in rows if of.runs and row.claimed]:
        table, lines = claim_table(claims, compared, title, name)
        tables.append(table)
        missed += lines
    judged = [
        (of, row.paper, judge(row.paper, row.reference, row.tolerance, row.why, of))
        for row, of in rows
        if of.runs and row.paper and row.reference and row.tolerance
    ]
    if judged:
        table, lines = verdict_table(judged, title, name)
        tables.append(table)
        missed += lines
    return tables, missed


def verdict_table(
    judged: Sequence[tuple[TableRow, Published, Verdict]], title: str, name: str
) -> tuple[Table, list[str]]:
    """Return published numbers and ours side by side, and a line per row that misses what it must.

    Parameters
    ----------
    judged
        Finished rows, what is published of each, and what :func:`judge` says of it.
    title, name
        Of the table that all rows are in.
    """
    lines, missed = [], []
    for row, published, verdict in judged:
        if not verdict.is_as_it_must:
            missed.append(f"{name}: row {row.name!r}: {verdict.text}")
        for metric in COMPARED:
            paper, ours = getattr(published, metric), row.runs[0].finished.metrics[metric]
            lines.append(
                {
                    "row": row.name,
                    "metric": heading(metric),
                    "paper": paper,
                    "ours": ours,
                    "difference": ours["mean"] - paper,
                    "verdict": verdict.text,
                }
            )
    columns = ["row", "metric", "paper", "ours", "difference", "verdict"]
    notes = [VERDICT, *basis([row for row, *_ in judged])]
    title, name = f"{title}: paper and ours", f"{name}_paper"
    return Table(title, columns, lines, notes, name, once=("row", "verdict")), missed


def claim_table(
    rows: Sequence[tuple[Row, TableRow]],
    compared: Sequence[Mapping[str, Any]],
    title: str,
    name: str,
) -> tuple[Table, list[str]]:
    """Return published figures beside a notebook's, ours, and what can be; and a line per miss.

    Parameters
    ----------
    rows
        Those of ``configs/table`` with ``published`` or ``notebook`` figures, and what came of
        each.
    compared
        Rows of the comparison of all rows, the bounds of each set of test pairs among them.
    title, name
        Of the table that all rows are in.
    """
    cells = {(row.get("test"), row["row"]): row for row in compared}
    test_of = {row["row"]: row.get("test") for row in compared}
    lines, missed = [], []
    for row, table_row in rows:
        test = test_of[table_row.name]
        reads = "owner" if "owner" in table_row.runs[0].finished.ceilings else "context"
        bounds = cells[test, CEILINGS[reads][0]]
        for metric in row.claimed:
            ours = cells[test, table_row.name][metric]
            line = {
                "published": row.published.get(metric),
                "notebook": row.notebook.get(metric),
                "ours": ours,
                "bound": bounds.get(metric),
            }
            verdict = claim_verdict(line, row.why)
            if not verdict.is_as_it_must:
                missed.append(f"{name}: row {table_row.name!r}: {heading(metric)} {verdict.text}")
            about = {"row": table_row.name, "metric": heading(metric)}
            lines.append({**about, **line, "verdict": verdict.text})
    notes = [CLAIM, *basis([table_row for _, table_row in rows])]
    title, name = f"{title}: published, notebook, ours", f"{name}_published"
    return Table(title, list(lines[0]), lines, notes, name, once=("row",)), missed


def claim_verdict(line: Mapping[str, Any], why: str) -> Verdict:
    """Return the verdict on one figure.

    Parameters
    ----------
    line
        ``published`` and ``notebook`` figure, either may be None; ``ours``; ``bound``, None of
        means over classes.
    why
        Words for a figure of the notebook that is not met.
    """
    words, is_met = [], True
    published, bound = line["published"], line["bound"]
    if published is not None and bound is not None:
        above = published - bound["mean"]
        words.append(
            f"above the bound of its own test labels by {above:.4f}"
            if above > 0
            else "within its bound"
        )
    if line["notebook"] is not None:
        apart = line["ours"]["mean"] - line["notebook"]
        is_near = abs(apart) <= AS_NOTEBOOK
        is_met = is_near or bool(why)
        words.append("as its notebook" if is_near else f"{apart:+.3f} to its notebook")
        words += [why] if why and not is_near else []
    return Verdict("; ".join(words), is_met)


def judge(
    paper: Published, reference: Reference, tolerance: Tolerance, why: str, row: TableRow
) -> Verdict:
    """Return the verdict on a row that has finished.

    Parameters
    ----------
    why
        The published numbers do not come back; empty if nothing is said.
    """
    per_seed = list(row.runs[0].finished.per_seed.values())
    missed = [seed for seed in per_seed if not _is_given(reference, tolerance, seed)]
    if missed:
        values = ", ".join(f"{name} {missed[0][name]:.4f}" for name in COMPARED)
        return Verdict(f"MISSED in {len(missed)} of {len(per_seed)} seeds ({values})", False)
    n_hits = sum(_is_published(paper, tolerance, seed) for seed in per_seed)
    if n_hits:
        often = "" if n_hits == len(per_seed) else f" in {n_hits} of {len(per_seed)} seeds"
        return Verdict(f"{REPRODUCED}{often}", True)
    return Verdict(f"not {REPRODUCED}: {why or 'the published code gives ours'}", True)


def _is_given(reference: Reference, tolerance: Tolerance, seed: Mapping[str, float]) -> bool:
    """Return whether a seed has one of the reference's outcomes, and an nDCG in its range."""
    low, high = reference.ndcg
    return low - tolerance.ndcg <= seed["ndcg"] <= high + tolerance.ndcg and any(
        abs(seed["accuracy"] - accuracy) <= tolerance.outcome
        and abs(seed["f1"] - f1) <= tolerance.outcome
        for accuracy, f1 in reference.outcomes
    )


def _is_published(paper: Published, tolerance: Tolerance, seed: Mapping[str, float]) -> bool:
    return (
        abs(seed["accuracy"] - paper.accuracy) <= tolerance.outcome
        and abs(seed["f1"] - paper.f1) <= tolerance.outcome
        and abs(seed["ndcg"] - paper.ndcg) <= tolerance.ndcg
    )
