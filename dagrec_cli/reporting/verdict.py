"""Is a published row reproduced? Paper and ours side by side, and the verdict in words.

A row names what the paper prints, and what the published code really gives when it is run
(PAPER §9): the outcomes that a seed may have, and the range of its nDCG. Ours must give the latter
in every seed; the verdict then says whether the former comes back.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dagrec_cli.reporting.notes import basis
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table, heading

REPRODUCED = "reproduced"
COMPARED = ("accuracy", "ndcg", "f1")
VERDICT = "difference: ours − paper. reproduced: as published within the row's tolerance."


class Verdict(NamedTuple):
    """The words, and whether the row gives what it must."""

    text: str
    is_as_it_must: bool


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
