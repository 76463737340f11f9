"""``dagrec guide``: the manual, whose first page README is."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dagrec_cli.commands.guide import PAGES, READABLE, line_of, topics

Dagrec = Callable[..., Any]

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, *PAGES.glob("*.md"), *(ROOT / ".github").glob("*.md")]


class Terminal(StringIO):
    """A standard output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(text: str) -> str:
    """Return what a terminal of 80 columns shows, without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_readme_is_short_and_names_every_topic_with_its_line() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    rows = dict(re.findall(r"^\| \[([\w-]+)\]\(dagrec_cli/guide/\1.md\) \| (.*) \|$", text, re.M))
    assert rows == {name: line_of(text) for name, text in topics().items()}


def test_no_link_of_the_documents_is_broken() -> None:
    links = [
        (page, link)
        for page in DOCUMENTS
        for link in re.findall(r"\]\(([^)#\s]+)\)", page.read_text())
        if "://" not in link
    ]
    assert len(links) > 30
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_the_guide_lists_its_topics(dagrec: Dagrec) -> None:
    for words in ([], ["--help"]):
        answer = dagrec("guide", *words)
        assert answer.code == 0
        for name, text in topics().items():
            assert re.search(rf"^  {name} +{re.escape(line_of(text))}$", answer.out, re.M)


def test_a_pipe_gets_markdown_that_names_topics_as_commands(dagrec: Dagrec) -> None:
    answer = dagrec("guide", "results")
    assert answer.code == 0
    assert answer.out.startswith("# Results\n")
    assert "`dagrec guide statistics`" in answer.out
    assert "](" not in answer.out


def test_nothing_is_cut_on_a_terminal_of_80_columns() -> None:
    """Neither a cell, which rich cuts with an ellipsis, nor a command, which goes on below."""
    from dagrec_cli.commands.guide import main

    for name, text in topics().items():
        out = Terminal()
        terminal = {"COLUMNS": "80", "PAGER": "", "TERM": "xterm"}
        with (
            patch.object(sys, "stdout", out),
            patch.object(sys, "argv", ["dagrec", name]),
            patch.dict(os.environ, terminal),
            patch("pydoc.pager", out.write),
        ):
            main()
        seen = shown(out.getvalue())
        assert max(map(len, seen.splitlines())) <= 80 < READABLE
        assert "\x1b[" in out.getvalue()
        assert seen.count("…") == text.count("…"), name
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
        for line in "\n".join(blocks).splitlines():
            assert line in seen, line


@pytest.mark.parametrize(
    ("words", "offer"),
    [
        (["stat"], "no topic 'stat'; did you mean statistics? topics: contexts, data, "),
        (["statsitics"], "did you mean statistics?"),
        (["mask"], "see results, contexts, "),
        (["xyz"], "no topic 'xyz'; topics: contexts"),
        (["data", "splits"], "no topic 'data splits'; "),
    ],
)
def test_an_unknown_topic_gets_one_line(dagrec: Dagrec, words: list[str], offer: str) -> None:
    assert offer in dagrec("guide", *words).refusal


def test_the_shell_completes_topics(dagrec: Dagrec) -> None:
    with patch.dict(os.environ, {"COMP_LINE": "dagrec guide st"}):
        assert dagrec("-sc", "query=bash").out.split() == ["start", "statistics"]


def test_the_guide_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from dagrec_cli.cli import main; sys.argv = ['dagrec', 'guide', 'start'];"
        "main(); print(sorted({'torch', 'hydra', 'omegaconf', 'numpy', 'rich'} & {*sys.modules}))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("", "[]")
