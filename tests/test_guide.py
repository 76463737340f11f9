"""The manual: README is its first page, and names every topic."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TOPICS = sorted((ROOT / "dagrec_cli/guide").glob("*.md"))
PAGES = [README, *TOPICS, *(ROOT / ".github").glob("*.md")]


def test_readme_is_short_and_names_every_topic_with_its_line() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    rows = dict(re.findall(r"^\| \[[\w-]+\]\((\S+)\) \| (.*) \|$", text, re.M))
    lines = {str(topic.relative_to(ROOT)): topic.read_text().splitlines() for topic in TOPICS}
    assert rows == {name: line[2] for name, line in lines.items()}
    assert [line[0] for line in lines.values()] == [
        f"# {topic.stem.replace('-', ' ').capitalize()}" for topic in TOPICS
    ]


def test_no_link_of_the_documents_is_broken() -> None:
    links = [
        (page, link)
        for page in PAGES
        for link in re.findall(r"\]\(([^)#\s]+)\)", page.read_text())
        if "://" not in link
    ]
    assert len(links) > 30
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
