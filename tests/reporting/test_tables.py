import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dagrec_cli.app.output import show_tables
from dagrec_cli.reporting.tables import Table, spell, template
from dagrec_cli.reporting.terminal import to_rich
from dagrec_cli.runs.folder import RunFolder

SUMMARY = {"mean": 0.5410, "std": None, "low": 0.4852, "high": 0.5967}
NOTED = {"one": ["n = 3", "Ties"], "two": ["Ties", "Means"]}
METRICS = ["accuracy", "precision", "recall", "f1", "ndcg", "mrr", "hr@1", "hr@3", "hr@5"]


def table_of(n_rows: int) -> Table:
    rows: list[dict[str, Any]] = [
        {"model": f"model_{k}", **dict.fromkeys(METRICS, SUMMARY), "status": "finished"}
        for k in range(n_rows)
    ]
    return Table("All of them", ["model", *METRICS, "status"], rows, ["n = 305 test pairs."])


def render(table: Table, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(to_rich(table, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.5410, ".5410"),
        (1.0, "1.0000"),
        (-0.25, "-.2500"),
        (10.5, "10.5000"),
        (1016, "1,016"),
        (True, "True"),
        ("ce", "ce"),
        (SUMMARY, ".5410 [.485, .597]"),
        ({"mean": 0.541, "std": None, "low": None, "high": None}, ".5410"),
        ({"mean": 1.0, "std": 0.0, "low": 0.99, "high": 1.0}, "1.0000 ± .000 [.990, 1.000]"),
    ],
)
def test_spell(value: Any, text: str) -> None:
    assert spell(value) == text


def test_notes_are_said_once_or_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    tables = [Table(name, ["row"], [{"row": 1}], notes) for name, notes in NOTED.items()]
    show_tables(tables, notes=True)
    shown = capsys.readouterr().out
    assert [shown.count(note) for note in ("n = 3", "Ties", "Means")] == [1, 1, 1]
    show_tables(tables, notes=False)
    bare = capsys.readouterr().out
    assert not any(note in bare for note in ("n = 3", "Ties", "Means"))
    assert len(tables[1].notes) == 2  # for the files


def test_csv_has_plain_numbers() -> None:
    table = Table("", ["model", "f1", "seconds"], [{"model": "=a", "f1": SUMMARY, "seconds": 0.25}])
    assert list(csv.reader(io.StringIO(table.to_csv()))) == [
        ["model", "f1", "f1_std", "f1_low", "f1_high", "seconds"],
        ["'=a", "0.541", "", "0.4852", "0.5967", "0.25"],
    ]


def test_csv_of_a_row_without_a_value() -> None:
    table = Table("", ["model", "f1"], [{"model": "a"}, {"model": "b", "f1": SUMMARY}])
    assert table.to_csv().splitlines()[1] == "a,,,,"


TESTED: list[dict[str, Any]] = [
    {"row": "a", "is_reference": True},
    {"row": "b", "difference": {"mean": 0.1, "low": 0, "high": 0.2}, "p": 0.0005},
    {"row": "c", "difference": {"mean": 0.2, "low": 0.1, "high": 0.3}, "p": 0.0005},
]
TESTED[1]["p_is_floor"], TESTED[2]["p_is_floor"] = False, True


def test_the_reference_is_marked_and_a_floor_of_p_is_no_equality() -> None:
    table = Table("", ["row", "difference", "p"], TESTED)
    lines = table.to_markdown().splitlines()
    assert lines[3:7] == [
        "|---|---:|---:|",
        "| a | reference | – |",
        "| b | .1000 [.000, .200] | .0005 |",
        "| c | .2000 [.100, .300] | ≤ .0005 |",
    ]
    assert r"$\leq$ .0005" in table.to_latex()
    for rows in (TESTED, TESTED[1:], [TESTED[0], TESTED[2]]):
        text = render(Table("", ["row", "difference", "p"], rows), 80)
        assert ("reference" in text) == (rows[0]["row"] == "a")
        assert text.count("≤ .0005") == 1
    assert list(csv.DictReader(io.StringIO(table.to_csv())))[2] == {
        "row": "c",
        "difference": "0.2",
        "difference_std": "",
        "difference_low": "0.1",
        "difference_high": "0.3",
        "p": "0.0005",
        "is_reference": "",
        "p_is_floor": "True",
    }


def test_what_rows_share_with_the_one_above_is_read_once() -> None:
    rows = [
        {"row": name, "metric": metric, "verdict": "reproduced"}
        for name in ("one", "two")
        for metric in ("accuracy", "F1")
    ]
    table = Table("", ["row", "metric", "verdict"], rows, once=("row", "verdict"))
    assert table.to_markdown().splitlines()[4:8] == [
        "| one | accuracy | reproduced |",
        "|  | F1 |  |",
        "| two | accuracy | reproduced |",
        "|  | F1 |  |",
    ]
    assert [text.count("reproduced") for text in (render(table, 80), table.to_latex())] == [2, 2]
    assert table.to_csv().count("reproduced") == 4
    sheet = {"tables": [table], "pictures": [], "rows": [], "note": ""}
    page = template("report.html.jinja").render(title="", sheets=[sheet], graphs=[])
    assert re.findall('class="again">(.+)<', page) == ["one", "reproduced", "two", "reproduced"]


def test_markdown() -> None:
    rows: list[dict[str, Any]] = [{"model": "a|<b>", "ndcg": SUMMARY}, {"model": "c\nd"}]
    assert Table("Title", ["model", "ndcg"], rows, ["A note."]).to_markdown() == (
        "**Title**\n\n| model | nDCG |\n|---|---:|\n"
        "| a\\|\\<b> | .5410 [.485, .597] |\n| c d | – |\n\nA note.  \n"
    )


@pytest.mark.parametrize("n_rows", [1, 2, 7])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_terminal_s_table_fits_and_keeps_what_matters(n_rows: int, width: int) -> None:
    text = render(table_of(n_rows), width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.split())
    for part in ("All of them", "n = 305 test pairs.", "accuracy", "nDCG", "model_0", ".5410"):
        assert part in words
    if width == 200:
        assert "HR@1" in words


def test_names_go_on_in_the_next_line_and_are_never_cut() -> None:
    name = "gru4rec mini_batch trainer.learning_rate=0.001"
    rows: list[dict[str, Any]] = [{"model": name, **dict.fromkeys(METRICS, SUMMARY)}] * 3
    table = Table("", ["model", "note", *METRICS], rows)
    lines = render(table, 80).splitlines()
    assert "…" not in "".join(lines)
    assert sum(line.count("trainer.learning_rate=0.001") for line in lines) == 3
    assert "note" not in lines[1]  # an empty column
    assert "Only in the files: precision" in " ".join(lines)


def test_rows_of_one_test_stand_below_its_name() -> None:
    rows: list[dict[str, Any]] = [
        {"row": f"r{k}", "test": f"test {k // 2}", "f1": k} for k in range(4)
    ]
    lines = render(Table("", ["row", "test", "f1"], rows), 80).splitlines()
    names = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert names == ["test 0", "r0", "r1", "test 1", "r2", "r3"]


def test_few_rows_show_intervals() -> None:
    assert ".5410 [.485, .597]" in render(table_of(2), 80)


def test_names_of_strangers_are_no_markup() -> None:
    table = Table("", ["model", "loss"], [{"model": "[red]x[/red]", "loss": "[/]"}])
    assert "[red]x[/red]" in render(table, 80)


def test_save_writes_every_form(tmp_path: Path) -> None:
    table = table_of(2)
    table.save(RunFolder(tmp_path))
    assert (tmp_path / "table.csv").read_text() == table.to_csv()
    assert (tmp_path / "table.md").read_text() == table.to_markdown()
    saved = json.loads((tmp_path / "table.json").read_text())
    assert saved == {
        "title": table.title,
        "columns": table.columns,
        "rows": table.rows,
        "notes": table.notes,
    }
