import json
import time
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Invalid
from dagrec_cli.data.readers import draft
from dagrec_cli.data.readers.draft import BOUND, Budget, Link, TooLargeError, named_links

TOOL, TABLE, NAMELESS = "service_a", "table_a", ""


def plain(names: list[str], links: list[Link], conditions: list[tuple[int, range]]) -> list[Link]:
    """The same, as it is told: each node's origins, each condition's links, one after another."""
    parents: dict[int, list[int]] = {node: [] for node in range(len(names))}
    for source, target in links:
        parents[target].append(source)
    origins: dict[int, list[int]] = {}
    for node in TopologicalSorter(parents).static_order():
        found = [origin for parent in parents[node] for origin in origins[parent]]
        origins[node] = [node] if names[node] else list(dict.fromkeys(found))
    found = [(origin, b) for a, b in links if names[b] for origin in origins[a]]
    for condition, nodes in conditions:
        inside = {node for node in nodes if names[node] == TOOL}
        later = {b for a, b in found if a in inside}
        first = [node for node in sorted(inside) if node not in later]
        found += [(origin, node) for origin in origins[condition] for node in first]
    return list(dict.fromkeys(found))


@st.composite
def workflows(draw: st.DrawFn) -> tuple[list[str], list[Link], list[tuple[int, range]]]:
    names = draw(st.lists(st.sampled_from([TOOL, TABLE, NAMELESS]), min_size=2, max_size=12))
    n = len(names)
    ends = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1])
    links = draw(st.lists(ends, max_size=25))
    outer = draw(ends)
    middle = draw(st.integers(*outer))
    parts = [range(middle, outer[1] + 1), range(outer[0], outer[1] + 1)]  # one in another
    conditions = [
        (condition, part)
        for part in parts
        if part.start
        for condition in draw(st.lists(st.integers(0, part.start - 1), max_size=3))
    ]
    return names, links, conditions


@given(workflows())
def test_links_are_those_that_are_made_one_by_one(
    workflow: tuple[list[str], list[Link], list[tuple[int, range]]],
) -> None:
    assert named_links(*workflow, Budget()) == plain(*workflow)


def test_many_sources_through_a_long_chain_of_nameless_nodes() -> None:
    n = 10_000
    names = [*[TOOL] * n, *[NAMELESS] * n, TOOL]
    links = [*((k, n) for k in range(n)), *((n + k, n + k + 1) for k in range(n))]
    start = time.process_time()
    assert len(named_links(names, links, [], Budget())) == n
    assert time.process_time() - start < 5  # 20 s when each node had a list of its own


CROWD = 2000
TOO_MANY = {
    "conditions": ([TOOL] * 2 * CROWD, [], [(k, range(CROWD, 2 * CROWD)) for k in range(CROWD)]),
    "nameless": (
        [*[TOOL] * CROWD, NAMELESS, *[TOOL] * CROWD],
        [(k, CROWD) for k in range(CROWD)] + [(CROWD, CROWD + 1 + k) for k in range(CROWD)],
        [],
    ),
    "a ladder": (
        [TOOL, NAMELESS] * CROWD,
        [link for k in range(1, 2 * CROWD, 2) for link in ((k - 1, k), (k, k + 2))][:-1],
        [],
    ),
}


@pytest.mark.parametrize("case", TOO_MANY)
def test_links_by_the_million_are_refused_before_they_take_memory(case: str) -> None:
    start = time.process_time()
    with pytest.raises(
        TooLargeError, match=f"more than {BOUND:,} nodes and links once it is expanded"
    ):
        named_links(*TOO_MANY[case], Budget())
    assert time.process_time() - start < 5


SUB = "5b1f2c3d-0000-4000-8000-000000000001"
MANY, LONG = 100, "x" * 10_000


def comfyui(n_uses: int, key: str = "", **sub: Any) -> tuple[str, str]:
    """A workflow that uses a subgraph so many times."""
    nodes = [{"id": f"{k}{key}", "type": SUB} for k in range(n_uses)]
    whole = {"id": SUB, "nodes": [{"id": 1, "type": "A"}], "links": [], **sub}
    return "flow.json", json.dumps({"nodes": nodes, "definitions": {"subgraphs": [whole]}})


def gxformat2(n_uses: int, **sub: Any) -> tuple[str, str]:
    """The same in format 2; JSON is YAML."""
    whole = {"class": "GalaxyWorkflow", "inputs": {"x": "data"}, "steps": {}}
    steps = {f"s{k}": {"run": "#sub"} for k in range(n_uses)}
    graph = [{**whole, "id": "main", "steps": steps}, {**whole, "id": "sub", **sub}]
    return "flow.gxwf.yml", json.dumps({"$graph": graph})


SLOTS = [{"name": "x"}] * MANY
USED_OFTEN: dict[str, Callable[[int], tuple[str, str]]] = {
    "inputs": lambda n: comfyui(n, inputs=SLOTS),
    "outputs": lambda n: comfyui(n, outputs=SLOTS),
    "slots of nodes": lambda n: comfyui(n, nodes=[{"id": 1, "type": "A", "inputs": SLOTS}]),
    "a long type": lambda n: comfyui(n, nodes=[{"id": 1, "type": LONG}]),
    "a long id": lambda n: comfyui(1, LONG, nodes=[{"id": k, "type": "A"} for k in range(n)]),
    "sources": lambda n: gxformat2(n, steps={"s": {"tool_id": "a", "in": {"x": ["x"] * MANY}}}),
    "outputs of a step": lambda n: gxformat2(n, outputs={f"o{k}": "x" for k in range(MANY)}),
    "a long tool": lambda n: gxformat2(n, steps={"s": {"tool_id": LONG}}),
    "a condition": lambda n: gxformat2(n, steps={"s": {"tool_id": "a", "when": LONG}}),
    "a state": lambda n: gxformat2(n, steps={"s": {"tool_id": "a", "state": [["x"]] * MANY}}),
    "slashes": lambda n: gxformat2(n, steps={"s": {"tool_id": "a", "in": {"x": "/" * 500}}}),
}


@pytest.mark.parametrize("case", USED_OFTEN)
def test_all_that_is_used_many_times_is_counted_each_time(
    tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """A file of 100 kB described nodes, texts and steps by the gigabyte."""
    monkeypatch.setattr(draft, "BOUND", 3_000)
    told = []
    for n_uses in (2, 100):
        name, text = USED_OFTEN[case](n_uses)
        (tmp_path / name).write_text(text)
        option = "gxformat2" if "gxwf" in name else "comfyui_workflows"
        (item,) = build(config("data", option, path=str(tmp_path / name)), "data").read()
        told.append([fault.problem for fault in item.faults] if isinstance(item, Invalid) else [])
    expected = ["more than 3,000 nodes and links once it is expanded; split it"]
    assert [each == expected for each in told] == [False, True]
