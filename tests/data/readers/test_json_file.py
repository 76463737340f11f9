import gzip
import json
import os
import tracemalloc
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import REMEDY, Composition, Invalid
from dagrec_cli.data.readers.json_file import JsonFile
from dagrec_cli.data.readers.json_graph import encoded
from dagrec_cli.errors import ConfigError, DataError
from read_items import faults

CONFIGS = Path(__file__).parents[3] / "configs" / "data"
BOM = b"\xef\xbb\xbf"

# table 5 -> service 308 -> service 309
PLAIN: dict[str, Any] = {
    "nodes": [{"id": 5}, {"id": "6", "mid": 308}, {"id": 7, "mid": "309"}],
    "links": [{"source": "5", "target": 6}, {"source": 6, "target": 7}],
}
EXPECTED = Composition(
    ("table_5", "service_308", "service_309"), (False, True, True), ((0, 1), (1, 2))
)


def json_file(path: Path | str | list[str] | None) -> JsonFile:
    return JsonFile(
        path=str(path) if isinstance(path, Path) else path,
        table_mid_min=1_000_000,
        default_path=None,
        on_cycle="error",
        service_key="mid",
        owner_key="owner",
        time_key="start_time",
        end_key="end_time",
        on_invalid="error",
        context="path",
        max_paths=10_000,
        cache=False,
        download=None,
    )


def read(tmp_path: Path, content: bytes) -> list[Composition | Invalid]:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    return [placeless(item) for item in json_file(path).read()]


def placeless(item: Composition | Invalid) -> Composition | Invalid:
    return item._replace(place="", ids=()) if isinstance(item, Composition) else item


def read_one(tmp_path: Path, composition: object) -> Composition | Invalid:
    (item,) = read(tmp_path, json.dumps([composition]).encode())
    return item


def message(path: Path | str | None) -> str:
    with pytest.raises(DataError) as caught:
        list(json_file(path).read())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        {"id": 5},
        {"id": "5", "mid": None},
        {"id": 5, "table": 5},
        {"id": 5.0},
        {"id": 5, "mid": 1_000_000},
        {"id": 5, "mid": 1_002_132},
        {"id": 5, "mid": "1000000"},
        {"id": 5, "mid": "9" * 5_000},
    ],
)
def test_every_spelling_of_a_table_reads_alike(tmp_path: Path, table: dict[str, Any]) -> None:
    assert read_one(tmp_path, {**PLAIN, "nodes": [table, *PLAIN["nodes"][1:]]}) == EXPECTED


@pytest.mark.parametrize("mid", [999_999, "999999", 0, "buffer", "-1000001"])
def test_any_other_mid_is_a_service(tmp_path: Path, mid: object) -> None:
    item = read_one(tmp_path, {**PLAIN, "nodes": [{"id": 5, "mid": mid}, *PLAIN["nodes"][1:]]})
    assert isinstance(item, Composition)
    assert item.is_service[0]
    assert item.names[0] == f"service_{mid}"


LINE = json.dumps(PLAIN).encode()
FORMATS = {
    "array": b"[" + LINE + b"," + LINE + b"]",
    "indented array": b"\n \r\n" + json.dumps([PLAIN, PLAIN], indent=2).encode(),
    "lines": LINE + b"\n" + LINE,
    "lines with blanks": b"\n  \n" + LINE + b"\r\n\r\n" + LINE + b"\n\n",
    "wrapped": json.dumps([{"composition": PLAIN}, {"id": 3, "composition": PLAIN}]).encode(),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("mark", [b"", BOM])
@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS.keys())
def test_every_format_reads_alike(
    tmp_path: Path, content: bytes, mark: bytes, zipped: bool
) -> None:
    content = mark + content
    items = read(tmp_path, gzip.compress(content) if zipped else content)
    assert items == [EXPECTED, EXPECTED]


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (FORMATS["array"], ["compositions[0]", "compositions[1]"]),
        (
            FORMATS["lines with blanks"],
            ["compositions[0] (line 3)", "compositions[1] (line 5)"],
        ),
    ],
)
def test_a_composition_knows_its_place(tmp_path: Path, content: bytes, places: list[str]) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    items = list(json_file(path).read())
    assert [item.place for item in items if isinstance(item, Composition)] == places


def test_several_files_are_read_in_order_and_named(tmp_path: Path) -> None:
    bad = json.dumps({**PLAIN, "links": [link(5, 8)]}).encode()
    for name, content in {"b.jsonl": bad, "a.jsonl": LINE, "sub/a.json": FORMATS["array"]}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    source = json_file([str(tmp_path / "sub" / "a.json"), str(tmp_path / "*.jsonl")])
    first, second, *others = source.read()
    assert placeless(first) == EXPECTED
    assert isinstance(first, Composition)
    assert first.place == "a.jsonl: compositions[0] (line 1)"
    assert faults(second)[0].startswith(
        "b.jsonl: compositions[0].links[0].target (line 1): unknown"
    )
    assert [item.place for item in others if isinstance(item, Composition)] == [
        "sub/a.json: compositions[0]",
        "sub/a.json: compositions[1]",
    ]
    assert [shard.name for shard in source.shards()] == ["a.jsonl", "b.jsonl", "sub/a.json"]
    listed = json_file([str(shard.path) for shard in source.shards()])
    assert listed.sha256() == source.sha256()  # however the files are given


def test_equal_links_collapse_in_order(tmp_path: Path) -> None:
    links = [*reversed(PLAIN["links"]), {"source": 5, "target": "6"}]
    item = read_one(tmp_path, {**PLAIN, "links": links})
    assert isinstance(item, Composition)
    assert item.links == ((1, 2), (0, 1))


NODES = [
    {"id": 1, "owner": None, "start_time": "2001-01-01T00:00:00Z"},  # a table does not start
    {"id": 2, "mid": 8, "owner": 42, "start_time": "2020-03-16T12:24:15.000Z"},
    {"id": 3, "mid": 9, "owner": "b", "start_time": "2020-03-16T14:24:14+02:00"},
    {"id": 4, "mid": 9, "end_time": "2020-03-16 14:24:15+02"},
    {"id": 5, "mid": 9, "end_time": "", "start_time": None},
]
END = 1_584_361_455.0


@pytest.mark.parametrize(
    ("fields", "owner", "start", "end"),
    [
        ({}, "42", 1_584_361_454.0, END),  # 2020-03-16 12:24:14 UTC, by `date -u +%s`
        ({"owner": "top", "start_time": 12.5, "end_time": 13}, "top", 12.5, 13.0),
        ({"start_time": "1970-01-01T00:01:00"}, "42", 60.0, END),
        ({"start_time": "1970-01-02", "end_time": "86400.5"}, "42", 86_400.0, 86_400.5),
    ],
)
def test_owner_and_times(
    tmp_path: Path, fields: dict[str, Any], owner: str, start: float, end: float
) -> None:
    item = read_one(tmp_path, {"nodes": NODES, "links": [{"source": 1, "target": 2}], **fields})
    assert isinstance(item, Composition)
    assert (item.owner, item.start_time, item.end_time) == (owner, start, end)


@pytest.mark.parametrize(
    "moment",
    [
        *("yesterday", [1], True, "2013-02", "1_0", 10**30, 1_584_361_455_000),
        *(-62_135_596_801, "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-00:01", "1e3"),
    ],
)
def test_a_date_that_cannot_be_read_is_a_fault(tmp_path: Path, moment: object) -> None:
    change = {"nodes": [{**node, "start_time": moment} for node in PLAIN["nodes"]]}  # a table's too
    for fields, places in (
        ({"end_time": moment}, [".end_time"]),
        (change, [".nodes[1].start_time", ".nodes[2].start_time"]),
    ):
        found = faults(read_one(tmp_path, {**PLAIN, **fields}))
        assert [fault.partition(": ")[0] for fault in found] == [
            f"compositions[0]{place}" for place in places
        ]
        assert all(": unreadable date " in fault for fault in found)


def test_owner_and_time_may_be_missing(tmp_path: Path) -> None:
    item = read_one(tmp_path, PLAIN)
    assert isinstance(item, Composition)
    assert (item.owner, item.start_time, item.end_time) == (None, None, None)


def link(source: object, target: object) -> dict[str, object]:
    return {"source": source, "target": target}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"nodes": [], "links": []}, [".links: no link, so no step"]),
        (
            {"nodes": [{"id": 5}, {"id": 6, "mid": ""}, {"id": 7, "mid": " "}]},
            [
                ".nodes[1].mid: empty; name a service, or write null for a table",
                ".nodes[2].mid: empty; name a service, or write null for a table",
            ],
        ),
        ({"directed": False}, [": an undirected graph; links must have a direction"]),
        ({"nodes": [{"id": 5}, {"id": 6.5}]}, [".nodes[1].id: Expected `int | str`, got `float`"]),
        (
            {"edges": [], "links": [link(5, 8)]},
            [".links[0].target: unknown node '8'; use a node's"],
        ),
        ({"links": []}, [".links: no link, so no step"]),
        ({"nodes": None}, [".nodes: Expected `array`, got `null`"]),
        (
            {"nodes": [*PLAIN["nodes"], {"id": "7"}]},
            [".nodes[3].id: duplicate id '7'; nodes[2] has it"],
        ),
        (
            {"nodes": [{"id": 5}, {"id": "x", "mid": True}]},
            [".nodes[1].mid: Expected `int | str | null`, got `bool`"],
        ),
        ({"nodes": [{"id": 5}, {}]}, [".nodes[1]: Object missing required field `id`"]),
        ({"nodes": [{"id": 1e400}]}, None),
        (
            {"links": [link(5, 6), link(6, 5)]},
            [f".links: cycle 5 -> 6 -> 5; {REMEDY}"],
        ),
        (
            # every fault is told, with the number its link has in the file
            {"links": [link(5, "66"), link("?", 6), link(7, 7), link(5, 6)]},
            [
                ".links[0].target: unknown node '66'; nearest ids: '6'",
                ".links[1].source: unknown node '?'; use a node's id",
            ],
        ),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_faults_name_their_place(
    tmp_path: Path, change: dict[str, Any], expected: list[str] | None, wrapped: bool
) -> None:
    bad: dict[str, Any] = {**PLAIN, **change}
    place = "compositions[1]"
    if wrapped:
        bad, place = {"composition": bad}, "compositions[1].composition"
    text = json.dumps([PLAIN, bad]).replace("Infinity", "1e400")
    first, second = read(tmp_path, text.encode())
    assert first == EXPECTED
    expected = [".nodes[0].id: Number out of range"] if expected is None else expected
    found = zip(faults(second), expected, strict=True)
    assert [told[: len(place + start)] for told, start in found] == [place + f for f in expected]


BEHIND = ": more behind the JSON; end lines in LF or CRLF, each with one composition"


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (b'{"nodes": [,]}', ": JSON is malformed: invalid character (byte 11)"),
        (LINE[:-5], ": JSON ends too early; a line must hold one whole composition"),
        (b"{" * 3, ": JSON is malformed: object keys must be strings (byte 1)"),
        (b"3", ": Expected `object`, got `int`"),
        (b'{"x": "\xe9"}', ": not UTF-8 (byte 7); save the file in UTF-8"),
        (LINE + b"\r" + LINE, BEHIND),
        (b'{"x": ' + b"[" * 100_000, ": JSON nested too deeply; fetch or export it again"),
        (b'{"nodes": [{"id": 1.5}]}', ".nodes[0].id: Expected `int | str`, got `float`"),
    ],
)
def test_a_bad_line_is_one_invalid_composition(tmp_path: Path, bad: bytes, expected: str) -> None:
    before, item, after = read(tmp_path, b"\n".join([b"", LINE, b"", bad, LINE]))
    assert before == after == EXPECTED
    place, _, problem = expected.partition(": ")
    assert faults(item) == [f"compositions[1]{place} (line 4): {problem}"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "the file is empty"),
        (BOM + b" \n", "the file is empty"),
        (b'"text"', "unexpected '\"text\"' in line 1"),
        (b"\nnodes;mid\n5;6", "unexpected 'nodes;mid' in line 2"),
        ("[]".encode("utf-16"), "a UTF-16 file"),
        (b"\xe9", "bytes that are not UTF-8 in line 1"),
        (b"[" + LINE, f"Input data was truncated at line 1, column {len(LINE) + 2}"),
        ('[\n{"é": 1} 3]'.encode(), "expected ',' or ']' at line 2, column 10"),
        (b"[1] 2", "trailing characters at line 1"),
        (b"[" * 100_000, "nested too deeply"),
        (gzip.compress(LINE, mtime=0)[:-9], "broken gzip"),
        (gzip.compress(LINE, mtime=0)[:-8] + b"12345678", "broken gzip"),
        (b"\x1f\x8b\x07", "broken gzip"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(content)
    found = message(path)
    assert found.startswith(f"{path}: ")
    assert expected in found


def test_a_missing_file_offers_near_names(tmp_path: Path) -> None:
    (tmp_path / "compositions.json").touch()
    found = message(tmp_path / "composition.json")
    assert "no such file" in found
    assert "'compositions.json'" in found
    assert "give an existing one" in message(tmp_path / "nowhere" / "x.json")


def test_an_empty_folder_names_the_files_that_count(tmp_path: Path) -> None:
    assert f"{tmp_path}: no file there (in a folder those count that end in .json" in message(
        tmp_path
    )


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "x.json"
    path.touch()
    monkeypatch.setattr(os, "open", refuse)  # root may read anything, so chmod would not do
    assert "x.json: Permission denied" in message(path)
    with pytest.raises(DataError, match="Permission denied"):
        json_file(path).sha256()


def test_without_a_path_the_message_says_how_to_give_one() -> None:
    assert "data.path=PATH" in message(None)


@given(st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_damage_raises_anything_but_a_user_error(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(list(FORMATS.values()))))
    if data.draw(st.booleans()):
        content = bytearray(gzip.compress(content))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        stop = start + data.draw(st.integers(0, 3))
        content[start:stop] = data.draw(st.binary(max_size=3) | st.sampled_from([b"{", b"]", b"1"]))
    told, items = "", []
    try:
        items = read(tmp_path, bytes(content))
    except DataError as error:
        told = str(error)
    assert "\n" not in told
    assert all(isinstance(item, (Composition, Invalid)) for item in items)


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    for _ in json_file(path).read():
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("zipped", [False, True])
def test_lines_are_read_in_constant_memory(tmp_path: Path, zipped: bool) -> None:
    def peak(n_lines: int) -> int:
        path = tmp_path / f"{n_lines}.jsonl"
        content = (LINE + b"\n") * n_lines
        path.write_bytes(gzip.compress(content, 1) if zipped else content)
        return peak_bytes(path)

    peak(10)  # what is allocated once
    small, large = peak(200), peak(1_500)  # 32 and 240 kB of text, which takes 7 times as much
    assert large < small + 200_000


def test_an_array_is_decoded_one_composition_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "array.json"
    path.write_text(json.dumps([PLAIN] * 2_000))
    # text and its pieces take about 2.5 times the file, all records decoded about 7 times
    assert peak_bytes(path) < 4 * path.stat().st_size


def test_the_hash_is_that_of_the_file_as_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert json_file(path).sha256() == expected


@pytest.mark.real
def test_geoportal_has_the_figures_of_its_description() -> None:
    config: Any = OmegaConf.load(CONFIGS / "geoportal.yaml")
    target = config.pop("_target_")
    assert target == f"{JsonFile.__module__}.{JsonFile.__name__}"
    source = JsonFile(**config)
    items = [item for item in source.read() if isinstance(item, Composition)]
    assert source.sha256() == config.download.sha256
    assert len(items) == 943
    for item, raw in zip(items, json.loads(source.shards()[0].path.read_bytes()), strict=True):
        kinds = {
            str(node["id"]): "table" if node.get("mid") is None else "service"
            for node in raw["nodes"]
        }
        names = {str(node["id"]): node.get("mid") or node["id"] for node in raw["nodes"]}
        assert item.names == tuple(f"{kinds[key]}_{names[key]}" for key in item.ids)
        found = {(item.ids[a], item.ids[b]) for a, b in item.links}
        assert found == {(str(each["source"]), str(each["target"])) for each in raw["links"]}
    names = {name for item in items for name in item.names}
    assert Counter(name.split("_")[0] for name in names) == {"table": 34, "service": 16}
    assert Counter(len(item.names) for item in items) == {2: 886, 3: 41, 4: 16}
    assert sum(len(item.links) for item in items) == 1_016
    assert items[0].names == ("table_1002132", "service_308", "service_309")
    assert len({item.owner for item in items}) == 6
    assert sum(item.owner == "nodejswpsserver" for item in items) == 527
    assert all((item.start_time or 0) <= (item.end_time or 0) for item in items)
    assert items[0].end_time == 1_584_361_477.0  # of its second call, 2020-03-16T12:24:37Z
    assert items[0].start_time == 1_584_361_455.0  # 2020-03-16T12:24:15Z


@pytest.mark.real
def test_cycles_of_n8n_s_workflows_are_cut() -> None:
    # 4,348 compositions, 51 without a link, 55,242 links, 838 with a cycle: README of the data.
    # About 1,330 links cut, which varies by 1 % with the order of the walk.
    file = Path(os.environ["DAGREC_DATA_DIR"], "n8n", "n8n_older_half.jsonl.gz")
    reader = json_file(file)
    left_out = [item for item in reader.read() if isinstance(item, Invalid)]
    assert Counter(item.is_fault for item in left_out) == {True: 838, False: 51}
    reader.on_cycle = "cut"
    items = list(reader.read())
    found = [item for item in items if isinstance(item, Composition)]
    n_cut = sum(count for item in found for _, count in item.dropped)
    n_left = sum(len(item.links) for item in found)
    assert (len(items), len(found)) == (4_348, 4_297)
    assert n_cut + n_left == 55_242
    assert abs(n_cut - 1_330) < 13.3


def test_a_node_link_graph_of_networkx_is_a_composition(tmp_path: Path) -> None:
    graph = nx.DiGraph()
    graph.add_nodes_from([("reads", {}), ("m", {"tool": "map"}), ("c", {"tool": "call"})])
    graph.add_edges_from([("reads", "m"), ("m", "c")])
    for key in ("links", "edges"):
        text = nx.node_link_data(graph, edges=key)
        path = tmp_path / "graph.json"
        for content in (text, [text, text]):
            path.write_text(json.dumps(content))
            reader = json_file(path)
            reader.service_key = "tool"
            items = list(reader.read())
            assert len(items) == (2 if content is not text else 1)
            for item in items:
                assert isinstance(item, Composition)
                assert item.names == ("table_reads", "service_map", "service_call")
                assert item.links == ((0, 1), (1, 2))
            reader.service_key = "id"
            (first, *_) = reader.read()
            assert isinstance(first, Composition)
            assert first.names == ("service_reads", "service_m", "service_c")
    path.write_text(json.dumps(nx.node_link_data(graph.to_undirected(), edges="links")))
    assert "an undirected graph" in faults(*json_file(path).read())[0]


def test_other_keys_name_service_owner_and_times(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    nodes = [{"id": 1, "tool": "a", "user": "me", "mid": 7}, {"id": 2, "tool": "b", "began": 5}]
    path.write_text(json.dumps({"nodes": nodes, "links": [link(1, 2)], "done": "1970-01-02"}))
    reader = json_file(path)
    reader.service_key, reader.owner_key = "tool", "user"
    reader.time_key, reader.end_key = "began", "done"
    (item,) = reader.read()
    assert isinstance(item, Composition)
    assert item.names == ("service_a", "service_b")
    assert (item.owner, item.start_time, item.end_time) == ("me", 5.0, 86_400.0)
    path.write_text(path.read_text().replace('"began": 5', '"began": 5, "began": 6'))
    assert "duplicate key 'began'" in faults(*reader.read())[0]


@pytest.mark.parametrize("names", [("1000000", "7"), ("٣٣٣٣٣٣٣٣", "-1000000"), ("1e9", "10.0")])
def test_a_service_with_a_number_for_its_name_is_written_as_one(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    whole = Composition(
        tuple(f"service_{name}" for name in names), (True, True), ((0, 1),), ids=["a", "b"]
    )
    for table_mid_min in (1_000_000, 1):
        (tmp_path / "file.json").write_bytes(encoded(whole))
        reader = json_file(tmp_path / "file.json")
        reader.table_mid_min = table_mid_min
        assert [placeless(item) for item in reader.read()] == [whole._replace(ids=())]


def test_is_service_decides(tmp_path: Path) -> None:
    nodes = [{"id": 5, "mid": "x", "is_service": False}, *PLAIN["nodes"][1:]]
    assert read_one(tmp_path, {**PLAIN, "nodes": nodes}) == EXPECTED
    nodes = [{"id": 5, "is_service": True}, *PLAIN["nodes"][1:]]
    assert faults(read_one(tmp_path, {**PLAIN, "nodes": nodes})) == [
        "compositions[0].nodes[0].is_service: no mid, which names a service"
    ]
    text = json.dumps([PLAIN]).replace('"mid"', '"is_service": true, "is_service": true, "mid"')
    assert "duplicate key 'is_service'" in faults(*read(tmp_path, text.encode()))[0]


@pytest.mark.real
@pytest.mark.parametrize(
    "option",
    [
        *("comfyui", "galaxy_connections", "galaxy_workflows", "geoportal", "gxformat2"),
        *("n8n_workflows", "wfcommons"),
    ],
)
def test_what_is_written_of_real_files_is_read_as_the_same(
    tmp_path: Path, config: Any, option: str
) -> None:
    if option == "comfyui":
        pytest.importorskip("comfyui_workflow_templates_json")
    read = islice(build(config("data", option), "data").read(), 100)
    items = [item._replace(place="", dropped=()) for item in read if isinstance(item, Composition)]
    assert len(items) > 7
    path = tmp_path / "all.jsonl"
    path.write_bytes(b"".join(map(encoded, items)))
    again = [item._replace(place="") for item in json_file(path).read()]
    assert [item._replace(ids=list(item.ids)) for item in items] == again


@pytest.mark.parametrize("keys", [{"owner_key": "mid"}, {"time_key": "id"}, {"end_key": "table"}])
def test_keys_must_differ(config: Any, keys: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="use different keys"):
        build(config("data", "compositions", **keys), "data")


def test_numbers_as_pandas_writes_them(tmp_path: Path) -> None:
    nodes = [{**node, "id": float(node["id"])} for node in PLAIN["nodes"]]
    nodes[1]["mid"] = 308.0
    links = [link(float(each["source"]), float(each["target"])) for each in PLAIN["links"]]
    assert read_one(tmp_path, {"nodes": nodes, "links": links}) == EXPECTED
