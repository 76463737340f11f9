"""Rows of one table over its data sets: mean ranks, what they can tell, and their picture."""

from collections.abc import Mapping, Sequence

import numpy as np

from dagrec_cli.config.metric_names import Average
from dagrec_cli.errors import plural
from dagrec_cli.evaluation.mean_ranks import PERMUTATIONS, RankComparison, alike, compare_ranks
from dagrec_cli.evaluation.significance import LEAST_P
from dagrec_cli.reporting.comparison import AS_GOOD, BEST_ROW, SIGNIFICANT
from dagrec_cli.reporting.plots.charts import rank_diagram
from dagrec_cli.reporting.plots.drawing import Picture
from dagrec_cli.reporting.report import ReportSheet
from dagrec_cli.reporting.tables import MEAN_RANK, Table, heading, short

Figures = dict[str, dict[str, float]]  # of rows, by data set


def rank_sheet(
    name: str,
    title: str,
    sheets: Mapping[str, ReportSheet],
    metric: str,
    averages: Sequence[Average],
) -> ReportSheet | None:
    """Return mean ranks over data sets, a table and a picture for each average.

    Rows that finished nowhere are left out, then data sets on which another row did not.

    Parameters
    ----------
    name
        Of the table, for files.
    sheets
        What the table is on each data set; the first tables of each are its comparisons.
    averages
        Those of the comparisons, in their order.

    Returns
    -------
    ReportSheet or None
        None if fewer than two rows or data sets are left, or two of these are the same data.
    """
    tables, pictures = [], []
    for number, average in enumerate(averages):
        every = {on: _figures(sheet.tables[number], metric) for on, sheet in sheets.items()}
        figures, left_out = _without_gaps(every)
        tested = [row.runs[0] for on in figures for row in sheets[on].rows if row.runs]
        n_data = len({run.finished.data.sha256 for run in tested})
        if len(figures) < 2 or n_data < len(figures) or len(next(iter(figures.values()))) < 2:
            return None
        file = f"{name}_ranks_by_{average}" if number else f"{name}_ranks"
        about = f"{heading(metric)} by {average}"
        compared = compare_ranks(
            np.array([list(rows.values()) for rows in figures.values()]), SIGNIFICANT
        )
        notes = [*_what_ranks_tell(compared, len(figures), about), *left_out]
        cells = _cells(figures, compared)
        columns = ["row", "mark", MEAN_RANK, *figures]
        spare = [*reversed(figures)]  # what is on single data sets stands in their tables
        tables.append(Table(f"{title}, mean ranks, {about}", columns, cells, notes, file, spare))
        rows = list(next(iter(figures.values())))
        pictures.append(_picture(file, f"{title}: {about}, {', '.join(figures)}", rows, compared))
    return ReportSheet(tables, [], pictures)


def _figures(table: Table, metric: str) -> dict[str, float]:
    """Return the figure of each finished row of a comparison, if all are about one test."""
    if "test" in table.columns:
        return {}
    return {row["row"]: row[metric]["mean"] for row in table.rows if row.get("seeds")}


def _without_gaps(every: Figures) -> tuple[Figures, list[str]]:
    """Return the data sets that have each row, and what is to be said of the others."""
    rows = dict.fromkeys(row for figures in every.values() for row in figures)
    whole = {
        on: {row: of[row] for row in rows} for on, of in every.items() if rows.keys() <= of.keys()
    }
    missing = [on for on in every if on not in whole]
    return whole, [f"Left out, since a row lacks a figure there: {', '.join(missing)}."] * bool(
        missing
    )


def _cells(figures: Figures, compared: RankComparison) -> list[dict[str, object]]:
    """Return the cells of each row, the best one first."""
    best, limit = compared.mean_rank.min(), _limit(compared)
    cells: list[dict[str, object]] = []
    for k, row in enumerate(next(iter(figures.values()))):
        rank = float(compared.mean_rank[k])
        mark = BEST_ROW if rank == best else AS_GOOD if rank - best < limit else None
        shown = {on: of_rows[row] for on, of_rows in figures.items()}
        cells.append({**shown, "row": row, "mark": mark, MEAN_RANK: rank})
    return sorted(cells, key=lambda row: row[MEAN_RANK])  # type: ignore[arg-type, return-value]


def _limit(compared: RankComparison) -> float:
    """Return from where on mean ranks differ significantly; nowhere if rows may all be alike."""
    return compared.critical_difference if compared.p_value < SIGNIFICANT else np.inf


def _what_ranks_tell(compared: RankComparison, n_data: int, about: str) -> list[str]:
    """Return what the mean ranks are, and what so many data sets can tell."""
    most, limit = len(compared.mean_rank) - 1, compared.critical_difference
    is_rejected, all_pairs = (
        compared.p_value < SIGNIFICANT,
        f"{SIGNIFICANT:.0%}, all pairs together",
    )
    p_value = (
        f"= {short(compared.p_value)}" if compared.p_value >= LEAST_P else f"< {short(LEAST_P)}"
    )
    verdict = "these rows are not all alike" if is_rejected else "no row is told from another"
    few = f"no more than {most} can be, thus so few data sets cannot tell any two rows apart"
    reach = f"{most} is the most there can be" if limit <= most else few
    return [
        f"Mean rank by {about} over {plural(n_data, 'data set')}; 1 is best, equals share theirs. "
        "Each data set counts the same, however well it is measured; intervals and tests on each "
        "stand in its own table.",
        f"Friedman: χ² = {short(compared.statistic)}, p {p_value}, of ranks "
        f"permuted {PERMUTATIONS:,} times within data sets; {verdict}.",
        f"Nemenyi: two mean ranks differ significantly ({all_pairs}) from {limit:.2f} on; {reach}. "
        f'"{AS_GOOD}": nearer than that to the best.',
    ]


def _picture(file: str, about: str, rows: Sequence[str], compared: RankComparison) -> Picture:
    """Return the diagram of critical difference."""
    ranks = compared.mean_rank
    figure = rank_diagram(
        dict(zip(rows, ranks.tolist(), strict=True)),
        compared.critical_difference,
        alike(ranks, _limit(compared)),
    )
    caption = (
        "1, on the left, is best; a thick line joins rows that are not significantly apart "
        f"({SIGNIFICANT:.0%}, Nemenyi, where Friedman's test rejects)."
    )
    return Picture(f"{file}_diagram", "Mean ranks over data sets", caption, figure, about)
