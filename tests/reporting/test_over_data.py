"""The page of mean ranks: which data sets count, what is said of few, and what is drawn."""

from collections.abc import Mapping
from io import StringIO
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from rich.console import Console

from dagrec_cli.reporting.over_data import rank_sheet
from dagrec_cli.reporting.report import ReportSheet
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table
from dagrec_cli.reporting.terminal import to_rich
from dagrec_cli.runs.run import Run

ROWS = {"net": 0.5, "counts": 0.4, "last node": 0.3, "popularity": 0.1}


def sheet(figures: Mapping[str, float], data: str) -> ReportSheet:
    """Return a comparison of rows on some data; one with a figure below 0 has failed."""
    finished = SimpleNamespace(data=SimpleNamespace(sha256=data))
    there = {row: mean for row, mean in figures.items() if mean >= 0}
    cells = [{"row": row, "seeds": 1, "accuracy": {"mean": mean}} for row, mean in there.items()]
    cells.append({"row": "static ceiling", "accuracy": {"mean": 0.9}})
    run = Mock(spec=Run, finished=finished)
    rows = [TableRow(row, [run] if row in there else [], "") for row in figures]
    return ReportSheet([Table("", ["row", "accuracy"], cells)], rows)


def ranks_of(sheets: Mapping[str, ReportSheet]) -> ReportSheet | None:
    return rank_sheet("mine", "Mine", sheets, "accuracy", ["step"])


def test_a_page_a_paper_could_print() -> None:
    found = ranks_of({f"data {k}": sheet(ROWS, str(k)) for k in range(5)})
    assert found
    (table,), (picture,) = found.tables, found.pictures
    assert (table.name, picture.name) == ("mine_ranks", "mine_ranks_diagram")
    assert [(row["row"], row["mean_rank"], row["mark"]) for row in table.rows] == [
        *(("net", 1, "best"), ("counts", 2, "≈ best"), ("last node", 3, "≈ best")),
        ("popularity", 4, None),
    ]
    assert table.to_csv().splitlines()[1] == "net,best,1.0,0.5,0.5,0.5,0.5,0.5"
    assert r"net & best & 1.00 & .5000" in table.to_latex()
    assert r"$\chi$$^2$ = 15.0000, p < .0001" in table.to_latex().replace(r"\textless{}", "<")
    console = Console(width=50, file=StringIO(), color_system=None)
    console.print(to_rich(table, 50))
    assert isinstance(console.file, StringIO)
    shown = console.file.getvalue()
    assert "│ last node  │ ≈ best │      3.00 │  .3000 │" in shown
    assert "Only in the files: data 1, data 2, data 3, data 4." in " ".join(shown.split())
    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert texts[:5] == ["1", "2", "3", "4", "critical difference 2.10"]
    assert texts[5:] == ["net  1.00", "counts  2.00", "3.00  last node", "4.00  popularity"]


def test_too_few_data_sets_say_so_and_mark_nothing() -> None:
    found = ranks_of({"a": sheet(ROWS, "a"), "b": sheet(ROWS, "b")})
    assert found
    assert (
        "no more than 3 can be, thus so few data sets cannot tell any two"
        in found.tables[0].notes[2]
    )
    figures = dict(zip(ROWS, (0.1, 0.3, 0.4, 0.5), strict=True))
    found = ranks_of({"a": sheet(ROWS, "a"), "b": sheet(figures, "b")})
    assert found
    assert "no row is told from another" in found.tables[0].notes[1]
    assert {row["mark"] for row in found.tables[0].rows} <= {"best", "≈ best"}


def test_what_a_data_set_or_a_row_lacks() -> None:
    fails, nothing = ROWS | {"net": -1.0}, dict.fromkeys(ROWS, -1.0)
    sheets = {"a": sheet(ROWS, "a"), "b": sheet(fails, "b"), "c": sheet(ROWS, "c")}
    found = ranks_of({**sheets, "d": sheet(nothing, "d")})
    assert found
    assert list(found.tables[0].columns[3:]) == ["a", "c"]
    assert found.tables[0].notes[-1] == "Left out, since a row lacks a figure there: b, d."
    never = ranks_of({name: sheet(fails, name) for name in "ab"})
    assert never
    assert [row["row"] for row in never.tables[0].rows] == ["counts", "last node", "popularity"]


@pytest.mark.parametrize("data", [["a"], ["a", "a", "b"]])
def test_one_data_set_or_one_twice_has_no_mean_ranks(data: list[str]) -> None:
    assert ranks_of({f"{k}": sheet(ROWS, name) for k, name in enumerate(data)}) is None
