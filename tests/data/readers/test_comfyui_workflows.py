import json
import struct
import tracemalloc
import zlib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid
from dagrec_cli.errors import DataError
from read_items import faults, links

Flow = dict[str, Any]
SUB = "5b1f2c3d-0000-4000-8000-000000000001"
DEEP = "5b1f2c3d-0000-4000-8000-000000000002"


def node(key: int, kind: str, inputs: str = "", outputs: str = "", mode: int = 0) -> Flow:
    """A node whose input and output slots are named."""
    return {
        "id": key,
        "type": kind,
        "mode": mode,
        "inputs": [{"name": name, "type": "*", "link": None} for name in inputs.split()],
        "outputs": [{"name": name, "type": "*", "links": []} for name in outputs.split()],
    }


def graph(nodes: list[Flow], *links: str, as_objects: bool = False, **fields: Any) -> Flow:
    """Nodes and links such as ``"1 -> 2"`` or ``"1.0 -> 2.1"``, with the slots."""
    ends = [[f"{end}.0".split(".")[:2] for end in link.split(" -> ")] for link in links]
    rows = [
        [number, *map(int, origin), *map(int, target), "*"]
        for number, (origin, target) in enumerate(ends, 1)
    ]
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return {
        "nodes": nodes,
        "links": [dict(zip(keys, row, strict=True)) for row in rows] if as_objects else rows,
        **fields,
    }


def subgraph(key: str, inputs: str, outputs: str, nodes: list[Flow], *links: str) -> Flow:
    """A definition; -10 and -20 are its own inputs and outputs."""
    return graph(
        nodes,
        *links,
        as_objects=True,
        id=key,
        name="sub",
        inputs=[{"id": name, "name": name} for name in inputs.split()],
        outputs=[{"id": name, "name": name} for name in outputs.split()],
    )


def with_subgraphs(flow: Flow, *subgraphs: Flow) -> Flow:
    return {**flow, "definitions": {"subgraphs": list(subgraphs)}}


def read(config: Any, path: Path, **settings: Any) -> list[Composition | Invalid]:
    node = config("data", "comfyui_workflows", path=str(path), **settings)
    return list(build(node, "data").read())


def read_one(config: Any, tmp_path: Path, flow: Any, **settings: Any) -> Composition | Invalid:
    path = tmp_path / "flow.json"
    path.write_bytes(flow if isinstance(flow, bytes) else json.dumps(flow).encode())
    (item,) = read(config, path, **settings)
    return item


IMAGE = graph(
    [
        node(1, "CheckpointLoaderSimple", outputs="MODEL CLIP VAE"),
        node(2, "CLIPTextEncode", "clip", "COND"),
        node(3, "KSampler", "model positive", "LATENT"),
        node(4, "Reroute", "", ""),
        node(5, "VAEDecode", "samples vae", "IMAGE"),
        node(6, "PrimitiveNode", outputs="INT"),
        node(7, "Note"),
        node(8, "SaveImage", "images", mode=2),
        node(9, "PreviewImage", "images", mode=4),
        node(10, "LoraLoader", "model", "MODEL"),
    ],
    *("1.1 -> 2.0", "1.0 -> 10.0", "10.0 -> 3.0", "2 -> 3.1", "3 -> 4", "4 -> 5.0", "1.2 -> 5.1"),
    *("6 -> 3.0", "5 -> 8", "5 -> 9", "5 -> 99"),
)


@pytest.mark.parametrize("as_objects", [False, True])
def test_the_editors_format(config: Any, tmp_path: Path, as_objects: bool) -> None:
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    flow = IMAGE
    if as_objects:
        flow = {**IMAGE, "links": [dict(zip(keys, row, strict=True)) for row in IMAGE["links"]]}
    item = read_one(config, tmp_path, {**flow, "links": [None, *flow["links"]]})
    assert item == Composition(
        (
            "table_CheckpointLoaderSimple",
            "service_CLIPTextEncode",
            "service_KSampler",
            "service_VAEDecode",
            "service_PreviewImage",
            "service_LoraLoader",  # a loader that something feeds
        ),
        (False, True, True, True, True, True),
        ((0, 1), (0, 5), (5, 2), (1, 2), (2, 3), (0, 3), (3, 4)),
        place="flow.json",
        ids=["1", "2", "3", "5", "9", "10"],
        dropped=(
            ("primitives", 1),
            ("notes", 1),
            ("muted nodes", 1),
            ("links to nodes that are not there", 1),
        ),
    )


def test_the_format_of_the_api(config: Any, tmp_path: Path) -> None:
    flow = {
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd"}},
        "6:1": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["4", 1], "text": "a cat"}},
        "7": {"class_type": "PrimitiveInt", "inputs": {"value": 3}},
        "3": {
            "class_type": "KSampler",
            "inputs": {"model": ["4", 0], "positive": ["6:1", 0], "seed": ["7", 0], "size": [1, 2]},
            "_meta": {"title": "KSampler"},
        },
    }
    item = read_one(config, tmp_path, flow)
    assert links(item) == [
        "CLIPTextEncode -> KSampler",
        "CheckpointLoaderSimple -> CLIPTextEncode",
        "CheckpointLoaderSimple -> KSampler",
    ]
    assert read_one(config, tmp_path, {"client_id": "x", "prompt": flow}) == item
    flow["3"]["inputs"] = {"model": ["5", 0]}
    flow["6:1"] = {"inputs": {}}
    assert faults(read_one(config, tmp_path, flow)) == [
        "flow.json['6:1']: Object missing required field `class_type`",
        "flow.json['3'].inputs['model']: unknown node '5'; name the id of a node",
    ]


UPSCALE = subgraph(
    SUB,
    "image scale model",
    "IMAGE MASK",
    [node(1, "Resize", "image scale"), node(2, "Upscale", "image model"), node(3, "Mask", "x")],
    *("-10.0 -> 1.0", "-10.1 -> 1.1", "1 -> 2.0", "-10.2 -> 2.1", "2 -> -20.0", "3 -> -20.1"),
    "1 -> 3",
)


def test_a_subgraph_is_expanded_in_place_each_time(config: Any, tmp_path: Path) -> None:
    """The nodes show two of its three inputs, in another order: they are found by name."""
    nodes = [
        node(1, "LoadImage", outputs="IMAGE"),
        node(2, "UpscaleModelLoader", outputs="MODEL"),
        node(3, SUB, "model image", "IMAGE MASK"),
        node(4, SUB, "image", "IMAGE MASK"),
        node(5, "Blend", "a b"),
    ]
    wires = ("1 -> 3.1", "2 -> 3.0", "3.0 -> 4.0", "3.1 -> 5.0", "4.0 -> 5.1")
    item = read_one(config, tmp_path, with_subgraphs(graph(nodes, *wires), UPSCALE))
    assert links(item) == sorted(
        [
            *("LoadImage -> Resize", "UpscaleModelLoader -> Upscale", "Upscale -> Resize"),
            *("Resize -> Upscale", "Resize -> Mask") * 2,
            *("Mask -> Blend", "Upscale -> Blend"),
        ]
    )
    assert isinstance(item, Composition)
    assert item.ids == ["1", "2", "3/1", "3/2", "3/3", "4/1", "4/2", "4/3", "5"]


def test_subgraphs_nest_and_pass_inputs_on(config: Any, tmp_path: Path) -> None:
    outer = subgraph(
        DEEP,
        "in",
        "out same",
        [node(7, SUB, "image", "IMAGE"), node(8, "Reroute")],
        *("-10.0 -> 7.0", "7.0 -> -20.0", "-10.0 -> 8", "8 -> -20.1"),
    )
    nodes = [node(1, "Start"), node(2, DEEP, "in", "out same"), node(3, "End"), node(4, "Same")]
    flow = graph(nodes, "1 -> 2.0", "2.0 -> 3", "2.1 -> 4")
    item = read_one(config, tmp_path, with_subgraphs(flow, outer, UPSCALE))
    assert links(item) == [
        *("Resize -> Mask", "Resize -> Upscale", "Start -> Resize", "Start -> Same"),
        "Upscale -> End",
    ]
    assert isinstance(item, Composition)
    assert "2/7/1" in item.ids
    nodes[1]["mode"] = 2  # muted with all that is in it
    item = read_one(config, tmp_path, with_subgraphs(flow, outer, UPSCALE))
    assert faults(item) == ["flow.json.links: no link, so no step"]


def test_slots_that_are_not_there_are_counted(config: Any, tmp_path: Path) -> None:
    nodes = [node(1, "A"), node(2, SUB, "image other", "IMAGE"), node(3, "B")]
    flow = graph(nodes, "1 -> 2.0", "1 -> 2.1", "1 -> 2.9", "2.0 -> 3", "2.1 -> 3")
    item = read_one(config, tmp_path, with_subgraphs(flow, UPSCALE))
    assert isinstance(item, Composition)
    assert item.dropped == (("links to slots that are not there", 3),)


def doubling(depth: int) -> Flow:
    """Subgraphs that each hold the next one twice: 2**depth nodes."""
    keys = [f"{DEEP[:-3]}{k:03}" for k in range(depth)]
    wires = ("-10.0 -> 1", "1 -> 2", "2 -> -20.0")
    inner = [
        subgraph(key, "i", "o", [node(1, after, "i", "o"), node(2, after, "i", "o")], *wires)
        for key, after in zip(keys, [*keys[1:], "X"], strict=True)
    ]
    return with_subgraphs(graph([node(1, "A"), node(2, keys[0], "i", "o")], "1 -> 2"), *inner)


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (
            graph([node(1, "A"), node(1, "B")], "1 -> 1"),
            ["flow.json.nodes[1].id: another node has the id 1 too"],
        ),
        (
            {"nodes": [node(1, "A")], "links": [[1, 1], {"origin_id": 1}, "x"]},
            [
                "flow.json.links[0]: Expected `array` of at least length 5, got 2",
                "flow.json.links[1]: Object missing required field `origin_slot`",
                "flow.json.links[2]: Expected `array | null`, got `str`",
            ],
        ),
        (
            with_subgraphs(graph([node(1, "A")]), {"nodes": [], "id": SUB}, {"nodes": [{"id": 1}]}),
            ["flow.json.definitions.subgraphs[1].nodes[0]: Object missing required field `type`"],
        ),
        (
            graph([node(1, "A"), node(2, SUB)], "1 -> 2"),
            [
                "flow.json.nodes[1].type: no such subgraph in definitions; "
                "save the workflow with what it uses"
            ],
        ),
        (
            graph([node(1, "A"), node(2, "B"), node(3, "Reroute")], "1 -> 2", "2 -> 3", "3 -> 1"),
            [
                "flow.json.links: cycle 1 -> 2 -> 1; a composition must be acyclic "
                "(data.on_cycle=cut drops the links that close a cycle)"
            ],
        ),
        (
            graph([node(1, "Reroute"), node(2, "Reroute"), node(3, "A")], "1 -> 2", "2 -> 1"),
            ["flow.json 1: it is fed by itself, through nodes alone that pass on what feeds them"],
        ),
        (
            with_subgraphs(graph([node(1, SUB)]), subgraph(SUB, "", "", [node(1, SUB)])),
            ["flow.json: more than 50 subworkflows inside one another, or one inside itself"],
        ),
        (
            with_subgraphs(
                graph([node(1, SUB)]), subgraph(SUB, "", "", [node(k, SUB) for k in (1, 2)])
            ),
            ["flow.json: more than 50 subworkflows inside one another, or one inside itself"],
        ),
        (
            b'{"nodes": [], "links": [' + b"[" * 2000,
            ["flow.json: JSON nested too deeply; fetch or export it again"],
        ),
        (
            b'{"nodes": [], "extra": "\xe9"}',
            ["flow.json: not UTF-8 (byte 24); save the file in UTF-8"],
        ),
        (b'{"nodes": [], "nodes": []}', ["flow.json: duplicate key 'nodes'; give it once"]),
    ],
)
def test_faults_name_file_and_node(
    config: Any, tmp_path: Path, flow: Any, expected: list[str]
) -> None:
    assert faults(read_one(config, tmp_path, flow)) == expected


def test_subgraphs_that_double_end_before_they_take_memory(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagrec_cli.data.readers.draft.BOUND", 2_000)
    problem = "more than 2,000 nodes and links once it is expanded; split it"
    assert faults(read_one(config, tmp_path, doubling(40))) == [f"flow.json: {problem}"]
    assert len(links(read_one(config, tmp_path, doubling(6)))) == 64


def png(*packed: tuple[str, bytes], **texts: bytes | str) -> bytes:
    """A picture of one pixel with text chunks: packed ones in a zTXt, bytes as they are, texts in
    a compressed iTXt.
    """

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    chunks = [chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))]
    chunks += [chunk(b"zTXt", name.encode() + b"\0" + text) for name, text in packed]
    for name, text in texts.items():
        if isinstance(text, bytes):
            chunks.append(chunk(b"tEXt", name.encode() + b"\0" + text))
        else:
            packed = b"\0\1\0en\0\0" + zlib.compress(text.encode())
            chunks.append(chunk(b"iTXt", name.encode() + packed))
    chunks += [chunk(b"IDAT", zlib.compress(b"\0\0")), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_a_picture_with_its_workflow(config: Any, tmp_path: Path) -> None:
    calls = {"1": {"class_type": "A"}, "2": {"class_type": "é", "inputs": {"x": ["1", 0]}}}
    pictures = {
        "a.png": png(prompt=b"{}", workflow=json.dumps(IMAGE).encode()),
        "b.png": png(prompt=json.dumps(calls, ensure_ascii=False)),
        "c.png": png(other=b"x"),
        "d.png": png(workflow=json.dumps(IMAGE).encode())[:400],
        "e.png": png(prompt=json.dumps(calls, ensure_ascii=False).encode("latin-1")),
    }
    for name, content in pictures.items():
        (tmp_path / name).write_bytes(content)
    whole, api, without, cut, latin = read(config, tmp_path)
    plain = read_one(config, tmp_path, IMAGE)
    assert isinstance(plain, Composition)
    assert whole == plain._replace(place="a.png")
    assert links(api) == links(latin) == ["A -> é"]
    assert isinstance(without, Invalid)
    assert not without.is_fault
    assert faults(without) == ["c.png: no workflow in the PNG"]
    assert isinstance(cut, Invalid)
    assert cut.is_fault


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["Comment", "Title"] * 20, "no workflow in the PNG"),
        (["prompt", "Comment"] * 20, "longer than 16,777,216 bytes"),
        (["workflow"] * 20 + ["prompt"] * 20, "longer than 16,777,216 bytes"),
    ],
)
def test_of_a_picture_s_texts_one_alone_is_unpacked(
    config: Any, tmp_path: Path, names: list[str], told: str
) -> None:
    """Forty that unpack to 20 MB each, in a file of 800 kB."""
    text = zlib.compress(b" " * 20_000_000)
    (tmp_path / "a.png").write_bytes(png(*[(name, b"\0" + text) for name in names]))
    tracemalloc.start()
    (item,) = read(config, tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert faults(item) == [f"a.png: {told}"]
    assert peak < 64_000_000  # twice what one may unpack to


def test_without_the_package_one_line_says_what_to_install(
    config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagrec_cli.data.readers.comfyui.find_spec", lambda _: None)
    with pytest.raises(DataError, match=r"^data=comfyui needs .*; .*pip install .*comfyui\]'\.$"):
        list(build(config("data", "comfyui"), "data").read())


Wire = tuple[str, str]


def plain_wires(flow: Flow, part: Flow, kinds: dict[str, str], path: str = "") -> set[Wire]:
    """The links of a graph and of all in it; ``7/in image`` is an input of the subgraph at 7."""
    subgraphs = {each["id"]: each for each in flow.get("definitions", {}).get("subgraphs", [])}
    nodes = {each["id"]: each for each in part["nodes"] if each["mode"] != 2}
    wires: set[Wire] = set()
    for key, each in nodes.items():
        if each["type"] in subgraphs:
            wires |= plain_wires(flow, subgraphs[each["type"]], kinds, f"{path}{key}/")
        else:
            kinds[f"{path}{key}"] = each["type"]

    def end(key: int, slot: int, side: str) -> str:
        if key < 0:  # the subgraph's own: its inputs are what its links come from
            return f"{path}{side} {part[f'{side}puts'][slot]['name']}"
        other = {"in": "out", "out": "in"}[side]
        if nodes[key]["type"] not in subgraphs:
            return f"{path}{key}"
        return f"{path}{key}/{other} {nodes[key][f'{other}puts'][slot]['name']}"

    for link in part["links"]:
        row = list(link.values()) if isinstance(link, dict) else link
        if {row[1], row[3]} <= nodes.keys() | {-10, -20}:
            wires.add((end(*row[1:3], "in"), end(*row[3:5], "out")))
    return wires


def plain_links(flow: Flow) -> Counter[Wire]:
    """The links of a workflow by the types of their nodes, one pass-through removed at a time."""
    kinds: dict[str, str] = {}
    wires = plain_wires(flow, flow, kinds)
    for each in {end for wire in wires for end in wire}:
        if kinds.get(each, "Reroute").startswith(("Reroute", "Primitive")):
            sources = {a for a, b in wires if b == each}
            targets = {b for a, b in wires if a == each}
            wires = {wire for wire in wires if each not in wire}
            wires |= {(a, b) for a in sources for b in targets}
    return Counter((kinds[a], kinds[b]) for a, b in wires)


with_templates = pytest.mark.skipif(
    find_spec("comfyui_workflow_templates_json") is None, reason="needs the extra comfyui"
)


@with_templates
def test_some_official_templates(config: Any) -> None:
    source = build(config("data", "comfyui"), "data")
    shards = source.shards()
    assert len(shards) == 644  # of version 0.1.123
    for shard in shards[::32]:
        (item,) = source.read_shard(shard)
        short = [name.partition("_")[2] for name in item.names]
        found = Counter((short[a], short[b]) for a, b in item.links)
        assert found == plain_links(json.loads(shard.path.read_bytes())), shard.name


@pytest.mark.slow
@with_templates
def test_the_official_templates(config: Any) -> None:
    """Against plain lines of json; the counts are of version 0.1.123."""
    source = build(config("data", "comfyui"), "data")
    items = list(source.read())
    dropped: Counter[str] = Counter()
    followers = set()
    for item, shard in zip(items, source.shards(), strict=True):
        assert isinstance(item, Composition), item
        short = [name.partition("_")[2] for name in item.names]
        found = Counter((short[a], short[b]) for a, b in item.links)
        assert found == plain_links(json.loads(shard.path.read_bytes())), shard.name
        dropped.update(dict(item.dropped))
        followers |= {item.names[target] for _, target in item.links}
    assert sum(len(item.names) for item in items) == 7_909
    assert sum(len(item.links) for item in items) == 9_006
    assert len(followers) == 508
    assert all(name.startswith("service_") for name in followers)
    assert dropped == {
        **{"notes": 875, "primitives": 657, "muted nodes": 3},
        "links to nodes that are not there": 12,
    }
