import gzip
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid
from dagrec_cli.data.dataset import build_dataset
from dagrec_cli.data.readers import galaxy_connections
from dagrec_cli.data.readers.galaxy_connections import GalaxyConnections
from dagrec_cli.errors import DataError
from read_items import faults

TIME = "1970-01-02 00:00:00.5"
MAP = "toolshed.g2.bx.psu.edu/repos/devteam/bwa/bwa_mem/0.7"


def table(path: Path | str | None) -> GalaxyConnections:
    return GalaxyConnections(
        path=None if path is None else str(path),
        default_path="galaxy/table.tsv",
        on_cycle="error",
        source="out",
        published=None,
        deleted=False,
        has_errors=False,
        on_invalid="error",
        context="path",
        max_paths=1_000,
        cache=False,
    )


def row(workflow: str, source: str, target: str, time: str = TIME) -> str:
    """A line; ``"7=Cut1"`` is step 7 with tool Cut1, ``"7="`` a step without tool."""
    ends = [
        f"{step}\t{tool}\t1.0" for step, _, tool in (source.partition("="), target.partition("="))
    ]
    return "\t".join([workflow, time, *ends, "input", "", "f"])


def read(tmp_path: Path, *lines: str) -> list[Composition | Invalid]:
    path = tmp_path / "table.tsv"
    path.write_text("".join(f"{line}\n" for line in lines))
    return [without_ids(item) for item in table(path).read()]


def without_ids(item: Composition | Invalid) -> Composition | Invalid:
    return item._replace(ids=()) if isinstance(item, Composition) else item


FIRST = Composition(
    ("table_data_input", "service_bwa_mem", "service_Cut1", "table_data_input", "service_Cut1"),
    (False, True, True, False, True),
    ((0, 1), (1, 2), (3, 2), (1, 4)),
    start_time=86_400.5,
    end_time=86_400.5,
    place="table.tsv workflow 5",
)
SECOND = Composition(
    ("service_b", "service_a"),
    (True, True),
    ((0, 1),),
    start_time=86_400.5,
    end_time=86_400.5,
    place="table.tsv workflow 12",
)
ROWS = [
    row("5", "1=", f"2={MAP}"),
    row("5", f"2={MAP}", "3=Cut1"),
    row("5", "4=", "3=Cut1"),  # another input dataset: a node of its own
    row("5", f"2={MAP}", "5=Cut1"),  # the same tool again: a node of its own
    row("5", "1=", f"2={MAP}"),  # another connection of the same two steps: the same link
    row("12", "2=b", "1=a"),
]


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("rows", [ROWS, [*ROWS[:2], ROWS[5], "", *ROWS[2:5]]])
def test_rows_of_one_workflow_are_one_composition(
    tmp_path: Path, rows: list[str], end: str, zipped: bool
) -> None:
    path = tmp_path / "table.tsv"
    content = end.join(rows).encode("utf-8-sig" if zipped else "utf-8")
    path.write_bytes(gzip.compress(content) if zipped else content)
    assert [without_ids(item) for item in table(path).read()] == [FIRST, SECOND]


@pytest.mark.parametrize(
    ("time", "expected"), [("", None), ("1970-01-01T00:01:00+01:00", 60.0 - 3_600.0)]
)
def test_time_may_be_missing_or_have_an_offset(
    tmp_path: Path, time: str, expected: float | None
) -> None:
    (item,) = read(tmp_path, row("5", "1=a", "2=b", time))
    assert isinstance(item, Composition)
    assert item.start_time == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["5\tx"], ["table.tsv line 2: 2 columns; 7 or more are expected"]),
        (
            [row("5", "=a", "2=b"), row("5", "1=a", "2=b", "yesterday")],
            [
                "table.tsv line 2: no source id",
                "table.tsv line 3: unreadable date 'yesterday'; use ISO 8601, such as 2020",
            ],
        ),
        (
            [row("5", "1=a", "2=b"), row("5", "1=", "3=b")],
            [
                "table.tsv line 3 step 1: two names 'service_a', 'table_data_input' of one step; "
                "a step has one"
            ],
        ),
        (
            [row("5", "1=a", "2=b"), row("5", "2=b", "1=a")],
            ["table.tsv workflow 5.links: cycle 1 -> 2 -> 1; a composition must be acyclic"],
        ),
        (
            [row("5", "1=a", "1=a")],
            ["table.tsv workflow 5.links[0]: node '1' is linked to itself; "],
        ),
    ],
)
def test_faults_name_their_line(tmp_path: Path, lines: list[str], expected: list[str]) -> None:
    good, bad = read(tmp_path, ROWS[5], *lines)
    assert good == SECOND
    found = faults(bad)
    assert [fault[: len(start)] for fault, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty; it must hold a tab-separated table"),
        (ROWS[5].encode() + b"\n\xe9", "not UTF-8 (line 2, byte 0); save the file in UTF-8."),
        (gzip.compress(ROWS[5].encode(), mtime=0)[:-9], "broken gzip"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        list(table(path).read())
    assert str(caught.value).startswith(f"{path}: {expected}")


def test_without_a_path_the_default_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGREC_DATA_DIR", raising=False)
    with pytest.raises(DataError, match=r"^data.path is null and DAGREC_DATA_DIR is not set; name"):
        list(table(None).read())
    monkeypatch.setenv("DAGREC_DATA_DIR", str(tmp_path))
    (tmp_path / "galaxy").mkdir()
    (tmp_path / "galaxy" / "table.tsv").write_text(ROWS[5])
    assert [without_ids(item) for item in table(None).read()] == [SECOND]


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert table(path).sha256() == expected


HEADER = "wf_id\twf_updated\tin_id\tin_tool\tin_tool_v\tout_id\tout_tool\tout_tool_v"


@pytest.mark.parametrize("source", ["out", "in"])
def test_a_header_names_the_columns(tmp_path: Path, source: Literal["in", "out"]) -> None:
    """Columns of the other end first, in another order, others between them."""
    order = [7, 0, 6, 5, 4, 3, 2, 1] if source == "in" else range(8)
    rows = [row("5", "2=b", "1=a"), row("5", "3=", "2=b"), row("5", "4=", "2=b")]
    cells = [line.split("\t")[:8] for line in (HEADER, *rows)]
    path = tmp_path / "table.tsv"
    path.write_text("".join("\t".join(each[k] for k in order) + "\r\n" for each in cells))
    reader = table(path)
    reader.source = source
    (item,) = reader.read()
    assert isinstance(item, Composition)
    names = [name.split("_", 1)[1] for name in item.names]
    links = {(names[a], names[b]) for a, b in item.links}
    forward = {("b", "a"), ("data_input", "b")}
    assert links == (forward if source == "in" else {(b, a) for a, b in forward})
    assert len(item.links) == 3


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        (
            "wf_id\tin_id\tin_tool\tout_id",
            "column 'out_tool' is missing (the header has wf_id, in_id, in_tool, out_id); rename ",
        ),
        (HEADER + "\twf_id", "column 'wf_id' is there twice (the header has wf_id, wf_updated, "),
        (
            "1,2013-02-07,1,a,1,2,b",
            "7 tab-separated columns are expected, 1 found in the first row;",
        ),
        ("1\t2013-02-07", "7 tab-separated columns are expected, 2 found in the first row."),
    ],
)
def test_other_columns_are_one_line(tmp_path: Path, first: str, problem: str) -> None:
    path = tmp_path / "table.tsv"
    path.write_text(first + f"\n{first}" * 1000)
    with pytest.raises(DataError) as caught:
        list(table(path).read())
    assert str(caught.value).startswith(f"{path}: {problem}")


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, "145"),
        ({"deleted": None, "has_errors": None}, "12345"),
        ({"published": True}, "15"),  # 5 does not say
        ({"published": False}, "45"),
        ({"deleted": True, "has_errors": None}, "25"),
    ],
)
def test_workflows_are_left_out_by_their_flags(
    tmp_path: Path, settings: dict[str, bool | None], kept: str
) -> None:
    flags = {"1": "t\tf\tf", "2": "t\tt\tf", "3": "t\tf\tTrue", "4": "0\tf\tf", "5": "\t\\N\t"}
    path = tmp_path / "table.tsv"
    path.write_text(
        f"{HEADER}\tpublished\tdeleted\thas_errors\n"
        + "".join(
            "\t".join(row(key, "1=a", "2=b").split("\t")[:8]) + f"\t{each}\n"
            for key, each in flags.items()
        )
    )
    reader = table(path)
    for name, value in settings.items():
        setattr(reader, name, value)
    items = dict(zip(flags, reader.read(), strict=True))
    found = {key for key, item in items.items() if isinstance(item, Composition)}
    assert found == set(kept)
    assert not any(item.is_fault for item in items.values() if isinstance(item, Invalid))


def test_a_dump_s_empty_cells_are_empty(tmp_path: Path) -> None:
    plain = read(tmp_path, *ROWS, row("5", "9=", "3=Cut1", ""))
    lines = [*ROWS, row("5", "9=", "3=Cut1", "")]
    dumped = ["\t".join(cell or r"\N" for cell in line.split("\t")) for line in lines]
    assert r"\N" in dumped[0]
    assert read(tmp_path, *dumped) == plain


def test_a_step_without_a_tool_between_others_passes_on(tmp_path: Path) -> None:
    rows = [
        row("5", "1=a", "2="),
        row("5", "3=", "2="),
        row("5", "2=", "4=b"),
        row("5", "4=b", "5="),
    ]
    (item,) = read(tmp_path, *rows)
    assert isinstance(item, Composition)
    assert item.names == ("service_a", "table_data_input", "service_b", "table_data_input")
    assert item.links == ((0, 2), (1, 2), (2, 3))
    assert item.dropped == (("steps without a tool between others", 1),)
    (circle,) = read(tmp_path, row("5", "1=", "2="), row("5", "2=", "1="), row("5", "2=", "3=b"))
    assert "fed by itself" in faults(circle)[0]


def test_dates_of_all_spellings(tmp_path: Path) -> None:
    for time in ("1970-01-02", "1970-01-02 00:00:00+00", "1970-01-02T03:00:00+0300", "86400"):
        (item,) = read(tmp_path, row("5", "1=a", "2=b", time))
        assert isinstance(item, Composition)
        assert item.start_time == item.end_time == 86_400


@pytest.mark.real
def test_the_table_of_2019_has_the_figures_of_its_description() -> None:
    folder = Path(os.environ["DAGREC_DATA_DIR"])
    reader = table(folder / "galaxy_1903" / "workflow-connections-19-03.tsv")
    reader.on_cycle = "skip"
    items = list(reader.read())
    found = [item for item in items if isinstance(item, Composition)]
    assert (len(items), len(found)) == (637, 636)  # one links to itself
    assert sum(len(item.links) for item in found) == 9_488
    followers = {(item.names[b], item.is_service[b]) for item in found for _, b in item.links}
    assert len({name for name, is_service in followers if is_service}) == 263
    assert all(is_service for _, is_service in followers)
    reader.on_cycle = "cut"
    items = list(reader.read())
    n_left = sum(len(item.links) for item in items if isinstance(item, Composition))
    assert n_left == 9_488 + 2  # 9,491 distinct links, one of them from a step to itself


@pytest.mark.real
def test_both_tables_have_the_same_links() -> None:
    """In the table of 2019 ``in_*`` is the target; that of 7,000 rows has the source first."""
    folder = Path(os.environ["DAGREC_DATA_DIR"])
    readers = [
        table(folder / "galaxy_tsv" / "workflow-connections.tsv"),
        table(folder / "galaxy_1903" / "workflow-connections-19-03.tsv"),
    ]
    sampled, whole = [
        {
            item.place.rpartition(" ")[2]: {
                (item.ids[a], item.names[a], item.ids[b], item.names[b]) for a, b in item.links
            }
            for item in reader.read()
            if isinstance(item, Composition)
        }
        for reader in readers
    ]
    shared = sampled.keys() & whole.keys()
    assert len(shared) == 399
    assert all(sampled[key] <= whole[key] for key in shared)
    lines = (folder / "galaxy_tsv" / "workflow-connections.tsv").read_text().splitlines()
    assert sum(line.partition("\t")[0] in shared for line in lines) == 2_410
    readers[1].source = "in"
    assert not any(
        (item.ids[a], item.names[a], item.ids[b], item.names[b]) in links
        for item in readers[1].read()
        if isinstance(item, Composition)
        for links in [sampled.get(item.place.rpartition(" ")[2], set())]
        for a, b in item.links
    )


@pytest.mark.real
def test_the_table_with_the_empty_cells_of_a_dump_reads_alike(tmp_path: Path) -> None:
    file = Path(os.environ["DAGREC_DATA_DIR"], "galaxy_tsv", "workflow-connections.tsv")
    lines = file.read_text().splitlines()
    dumped = tmp_path / file.name
    dumped.write_text(
        "".join("\t".join(c or r"\N" for c in line.split("\t")) + "\n" for line in lines)
    )
    assert list(table(dumped).read()) == list(table(file).read())


@pytest.mark.real
@pytest.mark.parametrize(
    ("whole_ids", "n_different", "n_tools"), [(False, 1_182, 353), (True, 1_367, 501)]
)
def test_the_table_has_the_figures_of_its_description(
    config: Any,
    monkeypatch: pytest.MonkeyPatch,
    whole_ids: bool,
    n_different: int,
    n_tools: int,
) -> None:
    # The description counts 1,367 different paths and 502 tools by whole ids, the missing one of
    # input datasets among the tools, and the one step into an input dataset among 4,548 pairs.
    if whole_ids:
        monkeypatch.setattr(galaxy_connections, "short_id", str)
    dataset = build_dataset(build(config("data", "galaxy_connections", context="path"), "data"))
    assert dataset.n_compositions == 1_336
    assert len(dataset.path[0]) == 3_995
    assert len(np.unique(dataset.path[0])) == n_different
    assert (len(dataset.links.target), len(dataset.pairs.target)) == (4_548, 4_547)
    assert sum(dataset.vocabulary.is_service) == n_tools
    assert not dataset.skipped
    assert (
        dataset.start_time[0] == 1_360_255_744.367628
    )  # 2013-02-07 16:49:04.367628, by `date -u +%s`
