import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid
from read_items import faults, links


def read(config: Any, path: Path, option: str = "gxformat2") -> dict[str, Composition | Invalid]:
    source = build(config("data", option, path=str(path)), "data")
    return {
        shard.name.partition(".")[0]: item
        for shard in source.shards()
        for item in source.read_shard(shard)
    }


def read_one(config: Any, tmp_path: Path, text: str) -> Composition | Invalid:
    path = tmp_path / "flow.gxwf.yml"
    path.write_text(text)
    return read(config, path)["flow"]


PLAIN = """
class: GalaxyWorkflow
inputs:
  reads: {type: collection}
  A/B: File
  level: {type: [int, "null"]}
  list: data[]
outputs:
  out: {outputSource: sort/out_file1}
steps:
  trim: {tool_id: toolshed.g2.bx.psu.edu/repos/iuc/trim/trim_it/1.0, in: {input1: reads}}
  sort/2:
    tool_id: sort1
    in:
      x: {source: [trim/out, A/B]}
      y: {default: 3}
  last:
    tool_id: cat1
    in: [{id: a, source: sort/2/out}]
    state: {level: {$link: level}, more: [{deep: {$link: 3}}]}
    when: $(inputs.go)
"""


def test_a_workflow(config: Any, tmp_path: Path) -> None:
    item = read_one(config, tmp_path, PLAIN)
    assert isinstance(item, Composition)
    assert item.names == (
        *("table_data_collection_input", "table_data_input", "table_parameter_input"),
        *("table_data_collection_input", "service_trim_it", "service_sort1", "service_cat1"),
    )
    assert item.is_service == (False,) * 4 + (True,) * 3
    assert set(item.links) == {(0, 4), (4, 5), (1, 5), (5, 6), (2, 6), (3, 6)}
    assert item.place == "flow.gxwf.yml"
    assert item.ids[4] == "steps['trim']"


INNER = """
class: GalaxyWorkflow
inputs: {i: data, j: data}
outputs: {o: {outputSource: b/out}}
steps:
  a: {tool_id: a, in: {x: i}}
  b: {tool_id: b, in: {x: a/out, y: j}}
  c: {tool_id: c}
"""
OUTER = """
class: GalaxyWorkflow
inputs: {x: data, flag: boolean}
steps:
  one: {tool_id: one, in: {x: x}}
  sub: {RUN, in: {i: one/out, go: {source: flag}}, when: $(inputs.go)}
  two: {tool_id: two, in: {x: sub/o}}
"""
EXPANDED = [
    *("a -> b", "b -> two", "data_input -> b", "data_input -> one", "one -> a"),
    *("parameter_input -> a", "parameter_input -> c"),  # the condition feeds what comes first
]


def test_a_subworkflow_is_expanded_in_place(config: Any, tmp_path: Path) -> None:
    run = INNER.strip().replace("\n", "\n      ")
    outer = OUTER.replace(
        "{RUN, in: {i: one/out, go: {source: flag}}, when: $(inputs.go)}",
        f"\n    in: {{i: one/out, go: flag}}\n    when: $(inputs.go)\n    run:\n      {run}",
    )
    assert links(read_one(config, tmp_path, outer)) == EXPANDED


def test_a_subworkflow_beside_the_workflow(config: Any, tmp_path: Path) -> None:
    parts = [("main", OUTER.replace("RUN", 'run: "#sub"')), ("sub", INNER)]
    graph = "".join(
        f"\n- id: {name}\n  " + part.strip().replace("\n", "\n  ") for name, part in parts
    )
    assert links(read_one(config, tmp_path, f"$graph:{graph}")) == EXPANDED


def step(fields: str) -> str:
    return f"class: GalaxyWorkflow\ninputs: {{x: data}}\nsteps:\n  s: {{{fields}}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_galaxy_workflow: 'true'",
         [": no 'class: GalaxyWorkflow', which a workflow in format 2 has"]),
        ("class: GalaxyWorkflow", [": no steps; a workflow has some"]),
        ("class: GalaxyWorkflow\nsteps: {}", [".links: no link, so no step"]),
        ("class: GalaxyWorkflow\nsteps: 3\ninputs: [data]",
         [".inputs[0]: no mapping; write its fields", ".steps: neither a mapping nor a list"]),
        (step("tool_id: a, in: {x: y/out, z: {source: {a: b}}}"),
         [".steps['s'].in['x']: unknown source 'y/out'; name an input, or STEP/OUTPUT",
          ".steps['s'].in['z']: no text; name an input, or STEP/OUTPUT, or a list of these"]),
        (step("in: {x: x}"),
         [".steps['s']: tool_id is None; a step of type tool must name its tool"]),
        (step("run: https://example.com/flow.yml, in: {x: x}"),
         [".steps['s'].run: 'https://example.com/flow.yml' lies elsewhere; "
          "put the workflow itself into the file"]),
        (step("type: odd, in: {x: x}"),
         [".steps['s'].type: unknown type 'odd'; known: tool, subworkflow, pause, data_input, "
          "data_collection_input, parameter_input"]),
        (step("run: {class: GalaxyWorkflow, steps: {}}, in: {y: x}")
         + "\n  t: {tool_id: t, in: {x: s/o}}",
         [".steps['s'].in['y']: the subworkflow has no input 'y'",
          ".steps['t'].in['x']: 'o' is no output of the subworkflow 's'"]),
        (step("tool_id: a, label: x"), [".steps['s']: 'x' also names another step or input"]),
        ("$graph: [{id: main, class: GalaxyWorkflow, steps: {s: {run: '#main'}}}]",
         [": more than 50 subworkflows inside one another, or one inside itself"]),
        ("a: 1\nb: [\n", [" (line 3): no YAML that is read: did not find expected node content"]),
        ("a: 1\nb: 2\na: 3", [" (line 3): no YAML that is read: duplicate key 'a'; give it once"]),
        ("a: &x 1\nb: *x",
         [" (line 2): no YAML that is read: an alias; write out what it stands for"]),
        ("[" * 500, [" (line 1): no YAML that is read: nested more than 100 times"]),
        ("? [a]\n: b", [" (line 1): no YAML that is read: a key that is no text"]),
        ("name: \0", [": no YAML that is read: control characters are not allowed"]),
    ],
)  # fmt: skip
def test_faults_name_file_and_step(
    config: Any, tmp_path: Path, text: str, expected: list[str]
) -> None:
    item = read_one(config, tmp_path, text)
    assert isinstance(item, Invalid)
    told = [f"{place}: {problem}".removeprefix("flow.gxwf.yml") for place, problem in item.faults]
    assert [text[: len(start)] for text, start in zip(told, expected, strict=True)] == expected


def plain_links(flow: dict[str, Any]) -> set[tuple[str, str]]:
    """The links of a workflow without subworkflows, by the places of steps, in plain yaml."""
    ids: dict[str, str] = {}
    fed: list[tuple[str, Any]] = []

    def texts(given: Any) -> list[str]:
        given = given.get("source") if isinstance(given, dict) else given
        return given if isinstance(given, list) else [given] if given else []

    for key in ("inputs", "steps"):
        given = flow.get(key) or {}
        is_dict = isinstance(given, dict)
        for k, (label, each) in enumerate(given.items() if is_dict else enumerate(given)):
            place = f"{key}[{label!r}]"
            ids[str(k + (len(flow["inputs"]) if key == "steps" else 0))] = place
            ids[label if is_dict else each.get("id") or each.get("label") or place] = place
            feeds = (each.get("in") or {}) if key == "steps" else {}
            fed += [(place, v) for v in (feeds.values() if isinstance(feeds, dict) else feeds)]
            fed += [(place, v) for v in re.findall(r"'\$link': '?([^'}]*)", str(each))]
    return {
        (next(ids[n] for n in sorted(ids, key=len)[::-1] if f"{source}/".startswith(f"{n}/")), at)
        for at, value in fed
        for source in texts(value)
    }


@pytest.mark.real
def test_the_examples_of_gxformat2(config: Any) -> None:
    folder = Path(os.environ["DAGREC_DATA_DIR"], "gxformat2")
    items = read(config, folder)
    items = {name.removeprefix("synthetic-"): item for name, item in items.items()}
    refused = {name: item for name, item in items.items() if isinstance(item, Invalid)}
    assert {name: len(faults(item)) for name, item in refused.items() if item.is_fault} == {
        "lint-nested-no-steps": 1,
        "missing-steps": 1,
        "url-run-yml": 1,
    }
    assert {name for name, item in refused.items() if not item.is_fault} == {
        *("bad-column-default-mismatch", "bad-restrictions-on-data", "comments-list"),
        *("input-type-aliases", "record-input", "text-restrictions-options"),
    }
    assert len(items) == 23
    n_plain = 0
    for name, item in items.items():
        flow = yaml.safe_load((folder / f"synthetic-{name}.gxwf.yml").read_text())
        if isinstance(item, Composition) and "run:" not in str(flow).replace("'", ""):
            n_plain += 1
            assert {(item.ids[a], item.ids[b]) for a, b in item.links} == plain_links(flow), name
    assert n_plain == 13  # 23 without what is refused and one with a subworkflow
    assert links(items["slash-in-label-chained"]) == ["cat1 -> cat1", "data_input -> cat1"]
    assert links(items["inner-nested-subworkflow"]) == ["data_input -> random_lines1"]


@pytest.mark.real
@pytest.mark.slow
def test_both_formats_of_a_workflow_give_the_same(config: Any, tmp_path: Path) -> None:
    """The library of format 2, where it is installed, writes the 84 workflows of IWC in it."""
    export = pytest.importorskip("gxformat2.export")
    folder = Path(os.environ["DAGREC_DATA_DIR"], "galaxy_iwc")
    for file in folder.glob("*.ga"):
        whole = export.from_galaxy_native(json.loads(file.read_bytes()))
        (tmp_path / f"{file.stem}.gxwf.yml").write_text(json.dumps(whole, ensure_ascii=False))
    native, found = read(config, folder, "galaxy_workflows"), read(config, tmp_path)
    assert {name: links(item) for name, item in found.items()} == {
        name: links(item) for name, item in native.items()
    }
    names = [Counter(item.names) for item in native.values() if isinstance(item, Composition)]
    assert names == [Counter(found[name].names) for name in native]  # type: ignore[union-attr]
    assert len(names) == 84
