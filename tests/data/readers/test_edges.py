import csv
import gzip
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid
from dagrec_cli.data.readers.edges import LINK_COLUMNS, Edges
from dagrec_cli.errors import ConfigError, DataError
from read_items import SETTINGS, faults

ROWS = [
    LINK_COLUMNS,
    ("w2", "table_reads", "map", "1", "2", "1970-01-02", "me"),
    ("w1", "a", "b", "x", "y", "", ""),
    ("w2", "map", "call, or so", "2", "3", "1970-01-03", "me"),
    ("w2", "map", "map", "2", "4", "", ""),  # another call of the same service
    ("w2", "map", "map", "2", "4", "", ""),  # the same link again
]
FIRST = Composition(
    ("table_reads", "service_map", "service_call, or so", "service_map"),
    (False, True, True, True),
    ((0, 1), (1, 2), (1, 3)),
    "me",
    86_400.0,
    172_800.0,
    "links.csv workflow w2",
    ["1", "2", "3", "4"],
)
SECOND = Composition(
    ("service_a", "service_b"),
    (True, True),
    ((0, 1),),
    place="links.csv workflow w1",
    ids=["x", "y"],
)


def edges(path: Path, **changes: Any) -> Edges:
    settings: dict[str, Any] = {
        "columns": {name: name for name in LINK_COLUMNS},
        "table_prefix": "table_",
    }
    return Edges(path=str(path), **{**SETTINGS, **settings, **changes})


def read(tmp_path: Path, text: str, **changes: Any) -> list[Composition | Invalid]:
    path = tmp_path / "links.csv"
    path.write_bytes(text.encode())
    return list(edges(path, **changes).read())


@pytest.mark.parametrize("delimiter", "\t,;|")
@pytest.mark.parametrize("zipped", [False, True])
def test_every_delimiter_reads_alike(tmp_path: Path, delimiter: str, zipped: bool) -> None:
    path = tmp_path / "links.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=delimiter).writerows(ROWS)
    if zipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert list(edges(path).read()) == [FIRST, SECOND]


def test_columns_may_stand_anywhere_and_have_other_names(tmp_path: Path) -> None:
    text = "more TO  Flow from\nx b w a\ny c w b\n".replace("  ", " ")
    columns = {
        **dict.fromkeys(LINK_COLUMNS, "none"),
        "workflow": "flow",
        "source": "From",
        "target": "to",
    }
    (item,) = read(tmp_path, text, columns=columns)
    assert isinstance(item, Composition)
    assert item.names == ("service_a", "service_b", "service_c")  # without ids a name is one node
    assert item.links == ((0, 1), (1, 2))
    assert item.owner is item.start_time is None


def test_a_loop_of_names_is_a_cycle(tmp_path: Path) -> None:
    text = "workflow,source,target\nw,a,b\nw,b,a\n"
    (item,) = read(tmp_path, text)
    assert faults(item)[0].startswith("links.csv workflow w.links: cycle a -> b -> a; ")
    (item,) = read(tmp_path, text, on_cycle="cut")
    assert isinstance(item, Composition)
    assert item.links == ((0, 1),)


def test_without_a_prefix_there_are_no_tables(tmp_path: Path) -> None:
    (item,) = read(tmp_path, "workflow,source,target\nw,table_a,b\n", table_prefix="")
    assert isinstance(item, Composition)
    assert item.names == ("service_table_a", "service_b")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["w,a,,1,2,,"], ["links.csv line 3: no target"]),
        (["w,a"], ["links.csv line 3: no target"]),
        ([r"w,\N,b,1,2,,"], ["links.csv line 3: no source"]),
        (["w,a,b,1,,,"], ["links.csv line 3: no target_id"]),
        (["w,a,b,1,2,soon,"], ["links.csv line 3: unreadable date 'soon'; use ISO 8601, such as"]),
        (
            ["w,a,b,1,2,,me", "w,c,b,1,2,,you"],
            [
                "links.csv line 4 step 1: two names 'service_a', 'service_c' of one step; a ste",
                "links.csv line 4: two owners 'me', 'you' of one workflow; it has one",
            ],
        ),
        (['w,"a\nb",c,1,2,,', "w,d,c,3,,,"], ["links.csv line 5: no target_id"]),
    ],
)
def test_faults_name_their_line(tmp_path: Path, rows: list[str], expected: list[str]) -> None:
    text = "\n".join([",".join(LINK_COLUMNS), "good,a,b,1,2,,", *rows])
    good, bad = read(tmp_path, text)
    assert isinstance(good, Composition)
    found = faults(bad)
    assert [fault[: len(start)] for fault, start in zip(found, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty; it must hold a table of links"),
        ("workflow,source,target\n", "no row below the header"),
        (
            "workflow,source\nw,a",
            "column 'target' is missing (the header has workflow, source); say what it is called: "
            "data.columns.target=NAME.",
        ),
        ("workflow,source,target,target\nw,a,b,b", "column 'target' is there twice (the header"),
        (
            'workflow,source,target\nw,"a" b,c',
            "broken quotes (line 2: ',' expected after '\"'); fix them.",
        ),
        ('workflow,source,target\nw,"a,b', "broken quotes (line 2: unexpected end of data); fix"),
        (
            f'workflow,source,target\nw,b,c\nw,"{"a" * 131_073}',
            "a cell longer than 131,072 characters (line 3); end its quotes.",
        ),
        (
            'workflow,source,target\nw,"' + f"{'a' * 100}\n" * 1_400,
            "a cell longer than 131,072 characters (line 1312); end its quotes.",
        ),
        (
            "workflow,source,target\rw,a,b\rw,b,c\r",
            "lines end in CR alone; end them in LF or CRLF.",
        ),
        (
            "workflow,source,target\r" + "w,a,b\r" * 200_000,
            "lines end in CR alone; end them in LF or CRLF.",
        ),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/links.csv: {problem}")


def test_columns_have_the_reader_s_names(config: Any) -> None:
    source = build(config("data", "edges", path="x"), "data")
    assert source.columns == {name: name for name in LINK_COLUMNS}
    with pytest.raises(
        ConfigError, match=r"data\.columns names workflow, flow; name workflow, source"
    ):
        edges(Path("x"), columns={"workflow": "a", "flow": "b"})


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_damage_raises_anything_but_a_user_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray("\n".join(",".join(row) for row in ROWS).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(content)))
        piece = data.draw(st.binary(max_size=3) | st.sampled_from([b'"', b",", b"\r", b"\0"]))
        content[start : start + data.draw(st.integers(0, 3))] = piece
    path = tmp_path / "links.csv"
    path.write_bytes(content)
    with suppress(DataError):
        assert all(isinstance(item, Composition | Invalid) for item in edges(path).read())


@pytest.mark.real
def test_galaxy_s_table_as_links(tmp_path: Path) -> None:
    """The table of 2019, its columns renamed: what 30 plain lines of csv make of it."""
    file = Path(os.environ["DAGREC_DATA_DIR"], "galaxy_1903", "workflow-connections-19-03.tsv")
    columns = {**dict.fromkeys(LINK_COLUMNS, "none"), "workflow": "wf_id", "time": "wf_updated"}
    columns |= {"source": "out_tool", "source_id": "out_id"}
    columns |= {"target": "in_tool", "target_id": "in_id"}
    with file.open(newline="") as text:
        header, *rows = csv.reader(text, delimiter="\t")
    filled = tmp_path / "links.tsv"
    with filled.open("w", newline="") as text:
        for row in (header, *rows):
            row[6] = row[6] or "table_input"
            csv.writer(text, delimiter="\t").writerow(row)
    items = list(edges(filled, columns=columns, on_cycle="cut").read())
    assert len(items) == len({row[0] for row in rows}) == 637
    found = {
        (item.place.rpartition(" ")[2], item.ids[a], item.ids[b])
        for item in items
        if isinstance(item, Composition)
        for a, b in item.links
    }
    assert found == {(row[0], row[5], row[2]) for row in rows if row[5] != row[2]}
    assert len(found) == 9_490
