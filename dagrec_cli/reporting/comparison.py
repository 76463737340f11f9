"""Rows side by side: intervals, differences from the first row, and who is as good as the best."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress
from typing import Any

import numpy as np

from dagrec_cli.config.metric_names import (
    MACRO,
    Average,
    Averages,
    averages_of,
    of_lists,
    with_default,
)
from dagrec_cli.errors import plural
from dagrec_cli.evaluation.ceiling import CEILINGS, STATIC, has_ceiling, static_ceilings
from dagrec_cli.evaluation.parts import difference, over_blocks, over_parts, summaries
from dagrec_cli.evaluation.significance import POWER, Difference, holm
from dagrec_cli.evaluation.strata import STRATA, STRATA_RULE, StratumName
from dagrec_cli.evaluation.uncertainty import metric_summaries
from dagrec_cli.reporting.notes import basis, ceilings_note
from dagrec_cli.reporting.rows import TableRow, by_reason, by_test, catalogue
from dagrec_cli.reporting.tables import SPARE, Table, heading
from dagrec_cli.runs.result import Finished
from dagrec_cli.runs.run import Run

SIGNIFICANT = 0.05
OF_STRATA = ("accuracy", "f1", "ndcg", "mrr", "hr@5")  # what is shown of each
BEST_ROW, AS_GOOD = "best", "≈ best"
TEST_COLUMNS = ("difference", "p", "detectable")
BY_COMPOSITION = (
    "Every figure is a mean over {}, of each one's own mean; means over classes (precision, "
    "recall, F1) have no such mean."
)
OVER = {False: "groups and seeds", True: "other data of this size"}  # by whether parts are averaged
Cells = dict[str, Any]  # of a row, by column


def compare_averages(
    rows: Sequence[TableRow],
    average: Averages,
    title: str,
    metric: str,
    metrics: Sequence[str] = (),
    name: str = "table",
) -> list[Table]:
    """Return a table, or one for each average, see :func:`compare_rows`.

    Parameters
    ----------
    name
        Of the first one's files.
    """
    tables: list[Table] = []
    for each in averages_of(average, metric):
        table = compare_rows(rows, title=title, metric=metric, metrics=metrics, average=each)
        table.name = f"{name}_by_{each}" if tables else name
        tables.append(table)
    return tables


def compare_rows(
    rows: Sequence[TableRow],
    *,
    title: str,
    metric: str,
    metrics: Sequence[str] = (),
    average: Average = "step",
) -> Table:
    """Return a table of the rows, with tests between those about the same test pairs.

    ``difference`` and ``p`` compare a row with the first one about its test pairs, which is the
    reference, over groups of equal compositions and over seeds, Holm-corrected over the rows.
    ``mark`` names the row with the best ``metric`` and those that are not significantly worse. A
    row of one seed that was trained is not tested: of other seeds nothing is known. Where there are
    several sets of test pairs, ``test`` names them. ``detectable`` is the smallest true difference
    that a test such as the row's sees with :data:`~dagrec_cli.evaluation.significance.POWER`.

    Parameters
    ----------
    metric
        What ``difference``, ``p`` and ``mark`` are about.
    metrics
        Columns beside those that every table has.
    average
        Over what figures are means; those over classes have no place beside means over
        compositions.
    """
    shown, listed = with_default([*metrics, metric]), of_lists(metrics)
    if average == "composition":
        title = f"{title}, mean over compositions"
        shown = tuple(name for name in shown if name not in MACRO)
    cells: list[Cells] = []
    notes: list[str] = []
    ceilings: dict[str, None] = {}
    for about, alike in by_test(rows):
        # The row that reads most: what bounds it bounds all.
        most = max(alike, key=lambda row: len(row.runs[0].finished.ceilings))
        bounds = _ceilings(most, shown, average)
        ceilings |= dict.fromkeys(bounds)
        of_test = _compared(alike, metric, shown, average)
        of_test += [{"row": CEILINGS[name][0], **bound} for name, bound in bounds.items()]
        if about:
            of_test = [{"row": row["row"], "test": about, **row} for row in of_test]
            *first, ties = basis(alike)  # ties are the same for all: said once, at the end
            notes = [n for n in notes if n != ties] + [f"{about}: {' '.join(first)}", ties]
        else:
            notes += basis(alike)
        cells += of_test
    if average == "composition":
        notes.append(BY_COMPOSITION.format(" and ".join(_compositions(rows))))
    notes += _test_notes([alike for _, alike in by_test(rows)], metric)
    if ceilings:
        notes.append(ceilings_note(ceilings))
    notes += [
        f"Not finished: {', '.join(names)}: {reason}" for reason, names in by_reason(rows).items()
    ]
    tested = ["test"] if any("test" in row for row in cells) else []
    columns = ["row", *tested, "mark", *shown, *listed, *TEST_COLUMNS, "seconds_per_epoch", "seeds"]
    spare = [column for column in SPARE if column not in (metric, *metrics)]
    return Table(title, columns, cells, notes, spare=spare)


def strata_tables(rows: Sequence[TableRow], name: str) -> list[Table]:
    """Return a table of each row's figures by stratum, or none if no run tells of strata.

    Parameters
    ----------
    name
        Of the table's files.
    """
    cells: list[Cells] = []
    for about, alike in by_test(rows):
        shown = {"test": about} if about else {}
        for stratum in chain(*STRATA):
            for row in alike:
                parts = [[(run.finished, run.seeds) for run in runs] for runs in row.parts]
                cells += [{"row": row.name, **shown, **of} for of in _of_stratum(stratum, parts)]
    tested = ["test"] if any("test" in row for row in cells) else []
    several = ["F1 of several parts: the mean of theirs, weighted by steps."]
    notes = several if any(len(row.parts) > 1 for row in rows) else []
    return [_strata_table(cells, ["row", *tested], name, notes)] if cells else []


def strata_of(result: Finished) -> list[Table]:
    """Return the table of one run's strata, if it tells of them."""
    parts = [[(result, result.seeds)]]
    cells = [of for stratum in chain(*STRATA) for of in _of_stratum(stratum, parts)]
    return [_strata_table(cells, [], "strata")] if cells else []


def _of_stratum(
    stratum: StratumName, parts: Sequence[Sequence[tuple[Finished, Sequence[int]]]]
) -> Iterator[Cells]:
    """Yield a stratum's cells, if it has steps: means over seeds, and over the steps of all parts.

    Parameters
    ----------
    parts
        Results with the seeds that count; those of a part are on the same steps.
    """
    found = [
        [(result.strata[stratum], seeds) for result, seeds in part if stratum in result.strata]
        for part in parts
    ]
    if found := [part for part in found if part]:
        steps = [part[0][0].steps for part in found]
        seeds_of = [[of.per_seed[seed] for of, seeds in part for seed in seeds] for part in found]
        figures = {
            metric: [np.mean([seed[metric] for seed in seeds]) for seeds in seeds_of]
            for metric in OF_STRATA
        }
        means = {name: float(np.average(each, weights=steps)) for name, each in figures.items()}
        yield {"stratum": stratum, "steps": sum(steps), **means}


def _strata_table(
    cells: list[Cells], named: Sequence[str], name: str, notes: Sequence[str] = ()
) -> Table:
    columns = [*named, "stratum", "steps", *OF_STRATA]
    return Table("Strata of the steps", columns, cells, [f"Strata: {STRATA_RULE}.", *notes], name)


def _ceilings(
    row: TableRow, metrics: Sequence[str], average: Average
) -> dict[str, Mapping[str, Any]]:
    """Return the ceilings of a row's test pairs, over its parts."""
    ceilings = [_ceilings_of(runs[0], metrics, average) for runs in row.parts]
    of_parts = {name: [each[name] for each in ceilings] for name in ceilings[0]}
    tested = row.tested(row.services)
    if len(tested) < len(ceilings):
        belongs = [runs[0].predictions.membership for runs in row.parts]
        weights = [float(each.weights(average).sum()) for each in belongs]
        return {name: over_blocks(each, weights) for name, each in of_parts.items()}
    return {name: over_parts(each, tested) for name, each in of_parts.items()}


def _ceilings_of(run: Run, metrics: Sequence[str], average: Average) -> dict[str, Cells]:
    """Return the ceilings of a run's test pairs: what it has, and those that are static."""
    stored = run.finished.ceilings if average == "step" else {}
    ceilings: dict[str, Cells] = {name: {**of} for name, of in stored.items()}
    static = [name for name in run.finished.ceilings if name in STATIC]
    new = [
        m for m in metrics if has_ceiling(m) and any(m not in ceilings.get(s, {}) for s in static)
    ]
    if new:
        belongs, target = run.predictions.membership, run.predictions.target
        known = (run.last_node, belongs.context, target, len(run.vocabulary.services))
        bounds = static_ceilings(*known, belongs.weights(average), run.predictions.owner)
        for name in static:
            found = metric_summaries([bounds[name]], belongs, new, average)
            ceilings.setdefault(name, {}).update(found)
    return ceilings


def _compositions(rows: Sequence[TableRow]) -> Iterator[str]:
    """Yield how many compositions each set of test pairs is of."""
    for about, (row, *_) in by_test(rows):
        parts = [runs[0].predictions.membership.composition for runs in row.parts]
        n = plural(len(np.unique(np.concatenate(parts))), "composition")
        yield f"{n} of {about}" if about else n


def _test_notes(tests: Sequence[Sequence[TableRow]], metric: str) -> list[str]:
    """Return what the tests between rows about the same test pairs are."""
    compared = [row for alike in tests if len(alike) > 1 for row in alike]
    if not compared:
        return []
    estimands = {row.is_averaged: OVER[row.is_averaged] for row in compared}
    over = ", or ".join(estimands.values())
    notes = [
        f"difference and p: {heading(metric)} against the reference row with the same test pairs, "
        f"over {over}, Holm-corrected; ≤: as small as so few groups allow. "
        f"detectable: the smallest true difference that such a test sees in {POWER:.0%} of cases "
        f"at the corrected level, {SIGNIFICANT:.0%} over all tests with the reference; –: none. "
        f'"{AS_GOOD}": not significantly worse than the best ({SIGNIFICANT:.0%}, Holm).'
    ]
    if untested := [row.name for row in compared if not row.is_testable]:
        notes.append(
            "No p and no mark, since one seed says nothing of others (train several, as in "
            f"seeds=[0,1,2]): {', '.join(dict.fromkeys(untested))}."
        )
    return notes


def _compared(
    alike: Sequence[TableRow], metric: str, shown: Sequence[str], average: Average
) -> list[Cells]:
    """Return the cells of rows about the same test pairs."""
    services = catalogue([run for row in alike for run in row.runs])
    parts = [row.tested(services) for row in alike]
    cells: list[Cells] = [
        {
            "row": row.name,
            "seeds": row.n_seeds,
            "seconds_per_epoch": row.seconds_per_epoch,
            **summaries(of_row, shown, average),
            **row.listed,
            **({"parts": len(of_row)} if len(of_row) > 1 else {}),
        }
        for row, of_row in zip(alike, parts, strict=True)
    ]
    if len(cells) == 1:
        return cells

    def tested(reference: int) -> list[tuple[Cells, Difference, float | None]]:
        """Return the cells of each other row, its difference, and p where both can be tested."""
        others = [k for k in range(len(cells)) if k != reference]
        is_tested = [alike[k].is_testable and alike[reference].is_testable for k in others]
        n_tests = max(1, sum(is_tested))
        found = [difference(parts[k], parts[reference], metric, average, n_tests) for k in others]
        # Holm corrects over the tests that are made; the others have no share in it.
        adjusted = iter(holm([each.p_value for each in compress(found, is_tested)]))
        p_values = [next(adjusted) if is_made else None for is_made in is_tested]
        return list(zip([cells[k] for k in others], found, p_values, strict=True))

    cells[0]["is_reference"] = True
    for row, diff, p in tested(0):
        row["difference"] = {"mean": diff.difference, "low": diff.low, "high": diff.high}
        if p is not None:
            row |= {"p": p, "p_is_floor": diff.is_floor and p < 1, "detectable": diff.detectable}
    best = max(range(len(cells)), key=lambda k: cells[k][metric]["mean"])
    cells[best]["mark"] = BEST_ROW
    for row, _, p in tested(best):
        if p is not None and p >= SIGNIFICANT:
            row["mark"] = AS_GOOD
    return cells
