import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid

BASE, LANGCHAIN = "n8n-nodes-base.", "@n8n/n8n-nodes-langchain."


def node(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "type": kind if "." in kind else BASE + kind, **fields}


def outputs(*names: str | None) -> list[list[dict[str, Any]] | None]:
    """An output for each argument, with the targets that it names."""
    return [
        None
        if each is None
        else [{"node": name, "type": "main", "index": 0} for name in each.split()]
        for each in names
    ]


def flow(nodes: list[dict[str, Any]], **connections: Any) -> dict[str, Any]:
    """A workflow; ``If=["A B", None]`` are two outputs of the kind main."""
    return {
        "nodes": nodes,
        "connections": {
            source: found if isinstance(found, dict) else {"main": outputs(*found)}
            for source, found in connections.items()
        },
    }


AGENT = flow(
    [
        node("Chat", LANGCHAIN + "chatTrigger"),
        node("Agent", LANGCHAIN + "agent"),
        node("Model", LANGCHAIN + "lmChatOpenAi"),
        node("If", "if"),
        node("Mail", "gmail"),
        node("Note", "stickyNote"),
        node("Off", "slack", disabled=True),
    ],
    Chat=["Agent"],
    Agent=["If"],
    Model={"ai_languageModel": outputs("Agent")},
    If=["Mail Mail", None, "Off"],
    Off=["Mail"],
)


def read(config: Any, path: Path, **settings: Any) -> list[Composition | Invalid]:
    found = build(config("data", "n8n_workflows", path=str(path), **settings), "data")
    return list(found.read())


def read_one(config: Any, tmp_path: Path, workflow: Any, **settings: Any) -> Composition | Invalid:
    path = tmp_path / "flow.json"
    text = workflow if isinstance(workflow, str) else json.dumps(workflow)
    path.write_bytes(text.encode(errors="surrogateescape"))
    (item,) = read(config, path, **settings)
    return item


def test_a_workflow(config: Any, tmp_path: Path) -> None:
    assert read_one(config, tmp_path, AGENT) == Composition(
        (
            f"table_{LANGCHAIN}chatTrigger",
            f"service_{LANGCHAIN}agent",
            f"service_{LANGCHAIN}lmChatOpenAi",
            f"service_{BASE}if",
            f"service_{BASE}gmail",
        ),
        (False, True, True, True, True),
        ((0, 1), (1, 3), (2, 1), (3, 4)),  # the model leads into the agent that uses it
        place="flow.json",
        ids=["Chat", "Agent", "Model", "If", "Mail"],
        dropped=(("sticky notes", 1), ("disabled nodes", 1)),
    )


@pytest.mark.parametrize(
    ("kind", "is_service"),
    [
        ("scheduleTrigger", False),
        ("n8n-nodes-fiwano.fiwanoTrigger", False),
        ("webhook", False),
        ("cron", False),
        ("respondToWebhook", True),
        ("httpRequest", True),
    ],
)
def test_a_trigger_is_a_table_unless_something_feeds_it(
    config: Any, tmp_path: Path, kind: str, is_service: bool
) -> None:
    def is_first_a_service(**connections: Any) -> bool:
        nodes = [node("A", kind), node("B", "set")]
        item = read_one(config, tmp_path, flow(nodes, **connections))
        assert isinstance(item, Composition)
        return item.is_service[0]

    assert is_first_a_service(A=["B"]) is is_service
    assert is_first_a_service(B={"ai_memory": outputs("A")})
    nodes = [node("A", kind), node("B", "set"), node("Off", "set", disabled=True)]
    item = read_one(config, tmp_path, flow(nodes, A=["B"], Off=["A"]))
    assert isinstance(item, Composition)
    assert item.is_service[0] is is_service  # what feeds it is dropped


TIMES = {"createdAt": "1970-01-02T00:00:00.500Z", "updatedAt": "1970-01-03T00:00:00.000Z"}
SHARED = {"role": "workflow:owner", "projectId": "p1", "project": {"name": "Ada <a@b.c>"}}


@pytest.mark.parametrize(
    ("fields", "owner"),
    [
        ({"shared": [{"role": "workflow:editor", "projectId": "p0"}, SHARED]}, "p1"),
        ({"shared": [{"role": "owner", "userId": "u1"}]}, "u1"),
        ({"shared": [{"role": {"name": "owner", "scope": "workflow"}, "userId": "u2"}]}, "u2"),
        ({"shared": [], "homeProject": {"id": "p2", "type": "team"}}, "p2"),
        ({"shared": [{"role": "workflow:editor", "projectId": "p0"}]}, None),
        ({"shared": "x", "homeProject": ["p"]}, None),
    ],
)
def test_owner_and_times(
    config: Any, tmp_path: Path, fields: dict[str, Any], owner: str | None
) -> None:
    item = read_one(config, tmp_path, {**AGENT, **TIMES, **fields})
    assert isinstance(item, Composition)
    assert (item.owner, item.start_time, item.end_time) == (owner, 86_400.5, 172_800)
    item = read_one(config, tmp_path, {**AGENT, **TIMES, "updatedAt": "now", "createdAt": None})
    assert isinstance(item, Invalid)
    assert str(item.faults[0]).startswith("flow.json.updatedAt: unreadable date 'now'; use ISO")


def test_a_loop_is_cut_and_counted(config: Any, tmp_path: Path) -> None:
    nodes = [node("Start", "manualTrigger"), node("Batches", "splitInBatches"), node("Do", "code")]
    loop = flow(nodes, Start=["Batches"], Batches=["", "Do"], Do=["Batches"])
    item = read_one(config, tmp_path, loop)
    assert isinstance(item, Composition)
    assert item.links == ((0, 1), (1, 2))
    assert item.dropped == (("links that close a cycle", 1),)
    item = read_one(config, tmp_path, loop, on_cycle="error")
    assert isinstance(item, Invalid)
    assert str(item.faults[0]).startswith("flow.json.links: cycle Batches -> Do -> Batches;")


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        (
            json.dumps(AGENT)[:-1] + ', "x": ' + "[" * 2000,
            ["flow.json: JSON nested too deeply; fetch or export it again"],
        ),
        (
            json.dumps({**AGENT, "name": "\udce9"}, ensure_ascii=False),  # as Latin-1 has é
            ["flow.json: not UTF-8 (byte 900); save the file in UTF-8"],
        ),
        (
            json.dumps(AGENT) + "\r" + json.dumps(AGENT),
            ["flow.json: more behind the JSON; end lines in LF or CRLF, each with one composition"],
        ),
        ({"nodes": []}, ["flow.json: Object missing required field `connections`"]),
        (
            flow([node("A", "set"), {"name": "B", "type": 3}]),
            ["flow.json.nodes[1].type: Expected `str`, got `int`"],
        ),
        (
            flow([node("A", "set"), node("B", "set")], A=["B C"], D=["A"]),
            [
                "flow.json.connections['A']: unknown node 'C'; name a node of the workflow",
                "flow.json.connections['D']: unknown node 'D'; name a node of the workflow",
            ],
        ),
        (
            flow([node("A", "set"), node("A", "code")], A={"main": [[{"node": 3}]]}),
            [
                "flow.json.nodes[1]: 'A' also names [0]; a name names one of them",
                "flow.json.connections['A'][...][0][0].node: Expected `str`, got `int`",
            ],
        ),
        (
            '{"nodes": [{"name": "A", "name": "B", "type": "x"}], "connections": {}}',
            ["flow.json.nodes[0]: duplicate key 'name'; give it once"],
        ),
    ],
)
def test_faults_name_file_and_node(
    config: Any, tmp_path: Path, workflow: Any, expected: list[str]
) -> None:
    item = read_one(config, tmp_path, workflow)
    assert isinstance(item, Invalid)
    assert list(map(str, item.faults)) == expected


def test_many_workflows_in_a_file(config: Any, tmp_path: Path) -> None:
    bad = {**AGENT, "connections": {"X": {}}}
    for name, text in {
        "array.json": json.dumps([AGENT, bad], indent=1).encode(),
        "lines.jsonl.gz": gzip.compress(b"%b\n%b\n" % (json.dumps(AGENT).encode(), b"[]")),
    }.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "cut.json").write_text(json.dumps([AGENT, AGENT])[:-9])
    found = read(config, tmp_path)
    whole, cut = found.pop(2), found.pop(2)
    assert isinstance(whole, Composition)
    assert whole.place == "cut.json[0]"
    assert isinstance(cut, Invalid)
    assert str(cut.faults[0]).startswith("cut.json: Input data was truncated at line 1, ")
    first, second, third, fourth = found
    assert isinstance(first, Composition)
    assert first.place == "array.json[0]"
    assert third == first._replace(place="lines.jsonl.gz")
    assert isinstance(second, Invalid)
    assert second.faults[0].place == "array.json[1].connections['X']"
    assert isinstance(fourth, Invalid)
    assert fourth.faults[0].place == "lines.jsonl.gz[1]"


@pytest.mark.real
def test_the_templates_of_n8n_ccby(config: Any) -> None:
    """Against plain lines of json; 4,454 nodes and 4,294 links were also counted elsewhere."""
    folder = Path(os.environ["DAGREC_DATA_DIR"], "n8n_ccby")
    totals: Counter[str] = Counter()
    for item in read(config, folder):
        assert isinstance(item, Composition)
        raw = json.loads((folder / item.place).read_text())
        kinds = {
            node["name"]: node["type"]
            for node in raw["nodes"]
            if not node.get("disabled") and not node["type"].endswith("stickyNote")
        }
        links = {
            (source, target["node"])
            for source, by_kind in raw["connections"].items()
            for outputs in by_kind.values()
            for output in outputs
            for target in output or []
            if source in kinds and target["node"] in kinds
        }
        dropped = dict(item.dropped)
        n_cut = dropped.pop("links that close a cycle", 0)
        found = {(item.ids[source], item.ids[target]) for source, target in item.links}
        assert found <= links
        assert all(item.is_service[target] for _, target in item.links)
        assert len(found) == len(links) - n_cut
        names = [name.partition("_")[2] for name in item.names]
        assert dict(zip(item.ids, names, strict=True)) == kinds
        totals.update({"nodes": len(kinds), "links": len(links), "cyclic": n_cut > 0}, **dropped)
    assert totals == {
        **{"nodes": 4_454, "links": 4_294, "cyclic": 52},
        **{"sticky notes": 1_624, "disabled nodes": 25},
    }
