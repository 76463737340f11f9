import gc
import re
import weakref
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from dagrec_cli.reporting import report
from dagrec_cli.reporting.comparison import compare_rows
from dagrec_cli.reporting.plots.drawing import VARIABLES, Picture, PictureForm
from dagrec_cli.reporting.report import ReportSheet, write_report
from dagrec_cli.reporting.rows import TableRow
from dagrec_cli.reporting.tables import Table, breakable
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Run

VOID = {"meta", "link", "br", "wbr", "path", "use", "image", "rect"}
EVIL = "<script>alert('&\"$x$')</script>"
FIRST = "service_<script>alert('&\"$x$')</script>"  # the first target of a run built by hand
RunOf = Callable[..., Run]


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value or "" for key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def folder(run_of: RunOf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a trained row with an evil name, a counting one, and a failed one."""
    path = tmp_path_factory.mktemp("report")
    entries = [
        TableRow(f"GRU {EVIL}", [run_of(path / "runs" / "trained")]),
        TableRow("popularity", [run_of(path / "runs" / "counting", is_trained=False)]),
        TableRow("broken", [], "the <b>disk</b> is full"),
    ]
    table = compare_rows(entries, title="Rows & more", metric="accuracy")
    published = [{"row": "popularity", "metric": "F1", "paper": 0.25}]
    paper = Table("Paper", ["row", "metric", "paper"], published)
    write_report(RunFolder(path), f"Report {EVIL}", [ReportSheet([table, paper], entries)])
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_is_well_formed(page: Page) -> None:
    assert page.open == []
    assert page.tags.count("html") == page.tags.count("body") == page.tags.count("main") == 1
    assert page.tags.count("table") == 2


def test_the_page_needs_no_network(page: Page) -> None:
    names = ("src", "href", "xlink:href", "data", "action")
    addresses = [address for name in names for address in page.values(name)]
    assert addresses
    assert [address for address in addresses if not address.startswith(("#", "data:"))] == []
    assert "@import" not in page.html
    assert re.findall(r"url\((?!#)", page.html) == []


def test_names_from_the_data_stay_text(page: Page) -> None:
    assert page.tags.count("script") == 1  # the one that sorts
    assert not {"b", "i"} & set(page.tags)
    assert "<script>alert" not in page.html
    text = "".join(page.text)
    assert f"Report {EVIL}" in text  # a title
    assert f"GRU {EVIL}" in text  # a row
    assert "</script><b>not bold</b>" in text  # a config
    assert "dagrec train model=<i>" in text  # a command
    assert "the <b>disk</b> is full" in text  # a reason


def test_a_dollar_sign_is_no_formula(page: Page) -> None:
    drawn = [text for text in page.text if text.startswith("service_<script>")]
    assert drawn
    assert all("$x$" in text for text in drawn)


def test_every_part_is_there(page: Page) -> None:
    headings = "|".join(page.text)
    for title in (
        "Rows & more",
        "Paper",
        "Accuracy against seconds per epoch",
        "Accuracy by context length",
        "Recall and confusion by class",
        "Learning curve",
        "Service graph",
        "Config and origin of runs/trained",
    ):
        assert title in headings, title
    for name in ("accuracy", "nDCG", "F1"):
        assert page.text.count(name) >= 2  # a column and a picture
    assert "Not finished: broken" in headings
    assert "Without epochs, since they count: popularity." in headings


def test_what_a_screen_has_room_for_comes_first_and_the_reference_is_marked(page: Page) -> None:
    heads = re.findall("<button>(.+?)</button>", page.html)
    shown = ["row", "mark", "accuracy", "F1", "nDCG", "difference", "p", "detectable"]
    assert heads[: len(shown)] == shown
    assert heads.index("precision") == heads.index("seeds") + 1
    assert re.findall(r"\$x\$&#39;\)&lt;/script&gt;<small>reference</small>", page.html)
    assert page.html.count("<small>reference</small>") == 1


def test_a_long_name_may_break_after_its_signs() -> None:
    assert breakable("model.edge_dropout=0.1 <b>") == (
        "model.<wbr>edge_<wbr>dropout=<wbr>0.<wbr>1 &lt;b&gt;"
    )


def test_a_counting_row_has_no_learning_curve(page: Page) -> None:
    assert page.text.count("Learning curve") == 1
    assert page.text.count("Recall and confusion by class") == 2


def test_ids_are_unique_and_references_lead_to_them(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    inside = [a[1:] for name in ("href", "xlink:href") for a in page.values(name) if a[:1] == "#"]
    inside += re.findall(r"url\(#([^)]+)\)", page.html)
    assert inside
    assert set(inside) <= set(ids)


def test_colours_follow_the_screen(page: Page) -> None:
    used = set(re.findall(r"var\(--(\w+)\)", page.html)) - {"natural"}
    assert used <= set(VARIABLES.values()) | {"page"}
    for name in used:
        assert len(re.findall(rf"--{name}: #", page.html)) == 2, name  # light and dark
    drawn = "".join(page.values("style"))
    assert "var(--blue)" in drawn
    assert re.findall("#[0-9a-f]{6}", drawn) == []


def test_pictures_lie_beside_the_page(page: Page, folder: Path) -> None:
    names = {file.name for file in (folder / "pictures").iterdir()}
    assert {"table_accuracy.svg", "table_accuracy.png", "service_graph_1.svg"} <= names
    assert {Path(name).stem for name in names if name.endswith(".png")} == {
        Path(name).stem for name in names if name.endswith(".svg")
    }
    assert page.tags.count("figure") == len(names) / 2
    svg = (folder / "pictures" / "service_graph_1.svg").read_text()
    assert "<script>" not in svg
    assert ">&lt;script&gt;" in svg


def test_an_old_row_of_two_tables_is_drawn_once_and_without_its_graph(
    run_of: RunOf, tmp_path: Path
) -> None:
    run = run_of(tmp_path / "old", is_trained=False)
    (run.path / "graph.json").unlink()
    entries = [TableRow("a", [run])]
    tables = [compare_rows(entries, title=title, metric="accuracy") for title in ("one", "two")]
    for table in tables:
        table.name = table.title
    sheets = [ReportSheet([table], entries) for table in tables]
    page = Page(write_report(RunFolder(tmp_path), "", sheets).read_text(encoding="utf-8"))
    names = {file.name for file in (tmp_path / "pictures").glob("*.png")}
    assert {name for name in names if "confusion" in name} == {"one_1_a_confusion.png"}
    assert {"one_f1.png", "two_f1.png"} <= names
    assert page.text.count("Recall and confusion by class") == 2
    assert "Service graph" not in page.text


def test_rows_that_all_failed_make_a_page(tmp_path: Path) -> None:
    entries = [TableRow("broken", [], "no data")]
    table = compare_rows(entries, title="", metric="accuracy")
    page = Page(write_report(RunFolder(tmp_path), "", [ReportSheet([table], entries)]).read_text())
    assert "no data" in page.text
    assert "figure" not in page.tags


def test_of_many_rows_the_best_have_pictures(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MOST_ROWS", 2)
    predicted = ["service_2", FIRST, "service_3", FIRST]  # the first target is EVIL
    runs = [run_of(tmp_path / "runs" / str(k), predicted=name) for k, name in enumerate(predicted)]
    entries = [TableRow(f"row {k}", [run]) for k, run in enumerate(runs)] + [
        TableRow("x", [], "why")
    ]
    table = compare_rows(entries, title="Rows", metric="accuracy")
    html = write_report(RunFolder(tmp_path), "Report", [ReportSheet([table], entries)]).read_text()
    drawn = sorted(file.name for file in (tmp_path / "pictures").glob("*_confusion.svg"))
    assert drawn == ["table_2_row_1_confusion.svg", "table_4_row_3_confusion.svg"]
    assert html.count("The 2 rows with the highest accuracy have pictures") == 1
    assert all(f"<summary>row {k}</summary>" in html for k in range(4))
    monkeypatch.setattr(report, "MOST_ROWS", 4)
    html = write_report(RunFolder(tmp_path), "Report", [ReportSheet([table], entries)]).read_text()
    assert len(list((tmp_path / "pictures").glob("*_confusion.svg"))) == 4
    assert "highest accuracy have" not in html


@pytest.mark.slow
def test_no_figure_outlives_its_files(
    run_of: RunOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty rows' figures took more than a gigabyte."""
    alive: weakref.WeakSet[Figure] = weakref.WeakSet()
    most, plain = [0], Picture.save

    def save(picture: Picture, folder: RunFolder, *forms: PictureForm) -> None:
        gc.collect()
        alive.add(picture.figure)
        most[0] = max(most[0], len(alive))
        plain(picture, folder, *forms)

    monkeypatch.setattr(Picture, "save", save)
    entries = [TableRow(f"row {k}", [run_of(tmp_path / "runs" / str(k))]) for k in range(3)]
    table = compare_rows(entries, title="Rows", metric="accuracy")
    write_report(RunFolder(tmp_path), "Report", [ReportSheet([table], entries)])
    assert most[0] <= 2
