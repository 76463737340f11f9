"""Names come from data, and data from strangers: shown anywhere, they are only read."""

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dagrec_cli.errors import visible
from dagrec_cli.evaluation.recommender import Answer
from dagrec_cli.export.recommendations import answer_json
from dagrec_cli.jobs.job import in_words
from dagrec_cli.reporting.comparison import compare_rows
from dagrec_cli.reporting.report import ReportSheet, write_report
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table
from dagrec_cli.reporting.terminal import to_rich
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run
from dagrec_cli.runs.state import state_of

ACTING = "a\x1b[31m\x9b2J\x07\x7f\u202eb\u2066\u2028c"
LINKS = (
    *(
        "![x](http://a.example/i.png)",
        "[x](javascript:alert(1))",
        "[x][y]",
        "[y]: http://a.example",
    ),
    *("<img src=x>", "<http://a.example>", "http://a.example", "www.a.example", "`a` | b"),
)
SPEAKS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

RunOf = Callable[..., Run]


def table_of(text: str) -> Table:
    row = {"row": text, "value": 1.0}
    return Table(f"title {text}", ["row", "value", text], [row] * 3, [f"note {text}"])


def test_nothing_in_a_table_acts() -> None:
    table = table_of(ACTING)
    screen = StringIO()
    Console(file=screen, force_terminal=False, width=200).print(to_rich(table, 200))
    for shown in (table.to_markdown(), table.to_latex(), screen.getvalue()):
        assert not SPEAKS.search(shown)
        assert r"x1b" in shown


@pytest.mark.parametrize("text", LINKS)
def test_no_link_and_no_image_in_markdown(text: str) -> None:
    shown = table_of(text).to_markdown()
    for link in (r"(?<!\\)\]\(", r"(?<!\\)\]\[", r"(?<!\\)\]:", r"(?<!\\)<", "://", r"www\.a"):
        assert not re.search(link, shown), shown


def test_no_command_in_latex() -> None:
    assert r"\input" not in table_of(r"\input{/etc/passwd} \write18{x}").to_latex()


def test_nothing_in_a_report_acts(run_of: RunOf, tmp_path: Path) -> None:
    choices = {"data": ACTING, "split": LINKS[4]}
    run = run_of(tmp_path / "run", choices=choices, command_line=ACTING)
    entry = TableRow(ACTING, [run])
    table = compare_rows([entry], title=ACTING, metric="accuracy")
    page = write_report(RunFolder(tmp_path / "r"), ACTING, [ReportSheet([table], [entry])])
    text = page.read_text()
    assert not SPEAKS.search(text)
    assert "<img" not in text
    assert "javascript:" not in text


def test_what_a_job_says_is_one_line(run_of: RunOf, tmp_path: Path) -> None:
    run_of(tmp_path / "run", is_finished=False, error=ACTING + "\nsecond")
    assert in_words(state_of(tmp_path / "run")).isprintable()


def test_json_of_acting_names_reads_back_the_same() -> None:
    import json

    text = answer_json(Answer(context=[ACTING, "é"], services=[]))
    assert json.loads(text) == {"context": [ACTING, "é"], "services": []}
    assert not SPEAKS.search(text)


def test_names_in_other_scripts_stay() -> None:
    for name in ("服务　一", "é", "می‌خواهم", "a\u00a0b"):
        assert visible(name) == name
