"""Is a published row reproduced, and can it be? Paper and ours side by side, the verdict in words.

A row names what the paper prints, and what the published code really gives when it is run
(PAPER §9): the outcomes that a seed may have, and the range of its nDCG. Ours must give the latter
in every seed; the verdict then says whether the former comes back.

Of another work a row names what is published, and what its authors' notebook shows, which ours is
to be near. The verdict then says whether the former can be at all.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dagrec_cli.evaluation.ceiling import CEILINGS
from dagrec_cli.reporting.notes import basis
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table, heading

REPRODUCED = "reproduced"
COMPARED = ("accuracy", "ndcg", "f1")
VERDICT = "difference: ours − paper. reproduced: as published within the row's tolerance."

AS_NOTEBOOK = 0.02  # of a notebook's figure, whose seed is not given
CLAIM = (
    "bound: of the best function of what the row reads, chosen on its own test pairs; nothing that "
    f"reads as much gets above it on them. As its notebook: ours is within {AS_NOTEBOOK} of it."
)


class Verdict(NamedTuple):
    """The words, and whether the row gives what it must."""

    text: str
    is_as_it_must: bool


def verdict_tables(
    rows: Sequence[tuple[Mapping[str, Any], TableRow]],
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
    if claims := [(row, of) for row, of in rows if of.runs and names_claimed(row)]:
        table, lines = claim_table(claims, compared, title, name)
        tables.append(table)
        missed += lines
    if judged := [(row, of) for row, of in rows if of.runs and row.get("paper")]:
        table, lines = verdict_table(judged, title, name)
        tables.append(table)
        missed += lines
    return tables, missed


def names_claimed(row: Mapping[str, Any]) -> list[str]:
    """Return the metrics of a row that are published, or in its authors' notebook."""
    return [*row.get("published", {}), *row.get("notebook", {})]


def verdict_table(
    rows: Sequence[tuple[Mapping[str, Any], TableRow]], title: str, name: str
) -> tuple[Table, list[str]]:
    """Return published numbers and ours side by side, and a line per row that misses what it must.

    Parameters
    ----------
    rows
        Those of ``configs/table`` with published numbers, see :func:`judge`, and what came of each.
    title, name
        Of the table that all rows are in.
    """
    lines, missed = [], []
    for row, table_row in rows:
        result = table_row.runs[0].finished
        verdict = judge(row, list(result.per_seed.values()))
        if not verdict.is_as_it_must:
            missed.append(f"{name}: row {table_row.name!r}: {verdict.text}")
        for metric in COMPARED:
            paper, ours = row["paper"][metric], result.metrics[metric]
            lines.append(
                {
                    "row": table_row.name,
                    "metric": heading(metric),
                    "paper": float(paper),
                    "ours": ours,
                    "difference": ours["mean"] - paper,
                    "verdict": verdict.text,
                }
            )
    columns = ["row", "metric", "paper", "ours", "difference", "verdict"]
    notes = [VERDICT, *basis([table_row for _, table_row in rows])]
    return Table(f"{title}: paper and ours", columns, lines, notes, f"{name}_paper"), missed


def claim_table(
    rows: Sequence[tuple[Mapping[str, Any], TableRow]],
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
        published, notebook = (row.get(key) or {} for key in ("published", "notebook"))
        test = test_of[table_row.name]
        reads = "owner" if "owner" in table_row.runs[0].finished.ceilings else "context"
        bounds = cells[test, CEILINGS[reads][0]]
        for metric in dict.fromkeys([*published, *notebook]):
            ours = cells[test, table_row.name][metric]
            line = {
                "published": published.get(metric),
                "notebook": notebook.get(metric),
                "ours": ours,
                "bound": bounds.get(metric),
            }
            verdict = claimed(line, row.get("why", ""))
            if not verdict.is_as_it_must:
                missed.append(f"{name}: row {table_row.name!r}: {heading(metric)} {verdict.text}")
            told = {"verdict": verdict.text}
            lines.append({"row": table_row.name, "metric": heading(metric), **line, **told})
    notes = [CLAIM, *basis([table_row for _, table_row in rows])]
    about = f"{title}: published, notebook, ours"
    return Table(about, list(lines[0]), lines, notes, f"{name}_published"), missed


def claimed(line: Mapping[str, Any], why: str) -> Verdict:
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


def judge(row: Mapping[str, Any], per_seed: Sequence[Mapping[str, float]]) -> Verdict:
    """Return the verdict on a row of ``configs/table``.

    Parameters
    ----------
    row
        ``paper`` (published numbers), ``reference`` (``outcomes``: pairs of accuracy and F1;
        ``ndcg``: lowest and highest), ``tolerance`` (``outcome`` and ``ndcg``), and ``why`` where
        the published numbers do not come back.
    per_seed
        Our metrics, one mapping per seed.
    """
    missed = [
        k for k, metrics in enumerate(per_seed) if not _is_given(row["reference"], row, metrics)
    ]
    if missed:
        seen = per_seed[missed[0]]
        values = ", ".join(f"{name} {seen[name]:.4f}" for name in COMPARED)
        return Verdict(f"MISSED in {len(missed)} of {len(per_seed)} seeds ({values})", False)
    n_hits = sum(_is_published(row, metrics) for metrics in per_seed)
    if n_hits:
        often = "" if n_hits == len(per_seed) else f" in {n_hits} of {len(per_seed)} seeds"
        return Verdict(f"{REPRODUCED}{often}", True)
    return Verdict(f"not {REPRODUCED}: {row.get('why', 'the published code gives ours')}", True)


def _is_given(
    reference: Mapping[str, Any], row: Mapping[str, Any], metrics: Mapping[str, float]
) -> bool:
    """Return whether a seed has one of the reference's outcomes, and an nDCG in its range."""
    near, slack = row["tolerance"]["outcome"], row["tolerance"]["ndcg"]
    low, high = reference["ndcg"]
    return low - slack <= metrics["ndcg"] <= high + slack and any(
        abs(metrics["accuracy"] - accuracy) <= near and abs(metrics["f1"] - f1) <= near
        for accuracy, f1 in reference["outcomes"]
    )


def _is_published(row: Mapping[str, Any], metrics: Mapping[str, float]) -> bool:
    near = {"ndcg": row["tolerance"]["ndcg"]}
    return all(
        abs(metrics[name] - number) <= near.get(name, row["tolerance"]["outcome"])
        for name, number in row["paper"].items()
        if name in COMPARED
    )
