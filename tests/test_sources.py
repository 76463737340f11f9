"""What docstrings cite can be read in the repository."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CITED = re.compile(r"PAPER §(\d+)")


def test_every_cited_section_stands_in_the_sources() -> None:
    files = [*ROOT.glob("dagrec_cli/**/*.py"), *ROOT.glob("configs/**/*.yaml")]
    cited = {number for file in files for number in CITED.findall(file.read_text())}
    headings = re.findall(r"^## (\d+)\. ", (ROOT / ".github/SOURCES.md").read_text(), re.MULTILINE)
    assert cited
    assert cited <= set(headings)
    assert headings == [str(number) for number in range(1, len(headings) + 1)]
