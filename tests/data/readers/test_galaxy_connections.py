import gzip
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid
from dagrec_cli.data.dataset import build_dataset
from dagrec_cli.data.readers import galaxy_connections
from dagrec_cli.data.readers.galaxy_connections import GalaxyConnections
from dagrec_cli.errors import DataError

TIME = "1970-01-02 00:00:00.5"
MAP = "toolshed.g2.bx.psu.edu/repos/devteam/bwa/bwa_mem/0.7"


def table(path: Path | str | None) -> GalaxyConnections:
    return GalaxyConnections(
        path=None if path is None else str(path),
        default_path="galaxy/table.tsv",
        on_cycle="error",
        on_invalid="error",
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


def faults(item: Composition | Invalid) -> list[str]:
    assert isinstance(item, Invalid)
    return [str(fault) for fault in item.faults]


FIRST = Composition(
    ("table_data_input", "service_bwa_mem", "service_Cut1", "table_data_input", "service_Cut1"),
    (False, True, True, False, True),
    ((0, 1), (1, 2), (3, 2), (1, 4)),
    time=86_400.5,
    place="table.tsv workflow 5",
)
SECOND = Composition(
    ("service_b", "service_a"),
    (True, True),
    ((0, 1),),
    time=86_400.5,
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
    assert item.time == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["5\tx"], ["table.tsv line 2: Expected `array` of at least length 7, got 2"]),
        (
            [row("5", "=a", "2=b"), row("5", "1=a", "2=b", "yesterday")],
            [
                "table.tsv line 2[2]: Expected `str`, got `null`",
                "table.tsv line 3[1]: Invalid RFC3339 encoded datetime",
            ],
        ),
        (
            [row("5", "1=a", "2=b"), row("5", "1=", "3=b")],
            [
                "table.tsv line 3 step 1: two tools 'service_a', 'table_data_input' of one step; "
                "a step has one tool"
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
        (ROWS[5].encode() + b"\n\xe9", "line 2 is not UTF-8; give a tab-separated table"),
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
    dataset = build_dataset(build(config("data", "galaxy_connections"), "data"))
    assert dataset.n_compositions == 1_336
    assert len(dataset.path) == 3_995
    assert dataset.path.max() + 1 == n_different
    assert len(dataset.pairs.target) + len(dataset.other_steps.target) == 4_548
    assert len(dataset.other_steps.target) == 1
    assert sum(dataset.vocabulary.is_service) == n_tools
    assert not dataset.skipped
    assert dataset.time[0] == 1_360_255_744.367628  # 2013-02-07 16:49:04.367628, by `date -u +%s`
