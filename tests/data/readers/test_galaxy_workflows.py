import gzip
import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid
from dagrec_cli.data.paths import count_paths, path_tree
from dagrec_cli.data.readers.galaxy_workflows import GalaxyWorkflows, short_id
from dagrec_cli.errors import DataError
from read_items import faults

Step = dict[str, Any]
BOM = b"\xef\xbb\xbf"


def galaxy_workflows(path: Path | str | None) -> GalaxyWorkflows:
    return GalaxyWorkflows(
        path=None if path is None else str(path),
        default_path="galaxy",
        on_cycle="error",
        on_invalid="error",
        context="path",
        max_paths=1_000,
        cache=False,
    )


def connection(source: str) -> Step:
    """``"3"`` is step 3, ``"3.label"`` an output of it, ``"3>1"`` goes to the inner step 1."""
    outer, _, inner = source.partition(">")
    step, _, output = outer.partition(".")
    found: Step = {"id": int(step), "output_name": output or "out"}
    return {**found, "input_subworkflow_step_id": int(inner)} if inner else found


def step(kind: str, *sources: str, **fields: Any) -> Step:
    """A tool, or another type of step; each source makes a connection of its own."""
    is_tool = not kind.endswith("input") and kind != "subworkflow"
    return {
        "type": "tool" if is_tool else kind,
        "tool_id": kind if is_tool else None,
        "input_connections": {f"input{k}": connection(s) for k, s in enumerate(sources)},
        **fields,
    }


def subworkflow(inner: list[Step], *sources: str, when: str | None = None) -> Step:
    found = step("subworkflow", *sources, subworkflow=workflow(*inner))
    if when:
        found["input_connections"]["when"] = connection(when)
    return found


def output(label: str | None) -> list[Step]:
    return [{"output_name": "out", "label": label}]


def workflow(*steps: Step) -> Step:
    return {"steps": {str(k): each for k, each in enumerate(steps)}}


def read_one(tmp_path: Path, *steps: Step) -> Composition | Invalid:
    path = tmp_path / "file.ga"
    path.write_text(json.dumps(workflow(*steps)))
    (item,) = galaxy_workflows(path).read()
    return item._replace(ids=()) if isinstance(item, Composition) else item


def walks(item: Composition | Invalid) -> set[str]:
    """Every path in short names: ``data_input a b``."""
    assert isinstance(item, Composition), item
    short = [name.partition("_")[2] for name in item.names]
    tree = path_tree(len(short), item.links)
    walked = [""]
    for branch, node in tree.inner:
        walked.append(f"{walked[branch]}{short[node]} ")
    return {walked[branch] + short[node] for branch, node in tree.ends}


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        ("toolshed.g2.bx.psu.edu/repos/iuc/rgrnastar/rna_star/2.7.11a+galaxy1", "rna_star"),
        ("testtoolshed.g2.bx.psu.edu/repos/iuc/rgrnastar/rna_star", "rna_star"),
        ("Show beginning1", "Show beginning1"),
        ("flexbar_no_split/2.5", "flexbar_no_split/2.5"),
    ],
)
def test_short_id(tool: str, expected: str) -> None:
    assert short_id(tool) == expected


def test_steps_become_nodes_and_connections_links(tmp_path: Path) -> None:
    tool = "toolshed.g2.bx.psu.edu/repos/iuc/cat/cat_it/1.0"
    both = {"x": [connection("0"), connection("1")], "y": connection("1")}
    item = read_one(
        tmp_path,
        step("data_input"),
        step("data_collection_input"),
        step(tool, input_connections=both),
        step(tool, "2.a", "2.b"),
        step("parameter_input"),
    )
    assert item == Composition(
        (
            "table_data_input",
            "table_data_collection_input",
            "service_cat_it",
            "service_cat_it",  # the same tool again is a node of its own
            "table_parameter_input",  # feeds nothing, and is not lost
        ),
        (False, False, True, True, False),
        ((0, 2), (1, 2), (2, 3)),  # two connections between two steps are one link
        place="file.ga",
    )


def test_steps_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "file.ga"
    steps = {"10": step("c", "9"), "9": step("b", "0"), "0": step("a")}
    path.write_text(json.dumps({"steps": steps}))
    (item,) = galaxy_workflows(path).read()
    assert isinstance(item, Composition)
    assert item.names == ("service_a", "service_b", "service_c")
    assert item.links == ((0, 1), (1, 2))


def test_a_subworkflow_is_expanded_in_place(tmp_path: Path) -> None:
    inner = [
        step("data_input"),
        step("parameter_input"),
        step("inner1", "0", workflow_outputs=output("one")),
        step("inner2", "1", "2", workflow_outputs=output("two")),
    ]
    item = read_one(
        tmp_path,
        step("data_collection_input"),
        step("before", "0"),
        subworkflow(inner, "1>0"),  # nothing feeds its inner step 1
        step("after", "2.one"),
    )
    assert isinstance(item, Composition)
    assert item.names == (
        "table_data_collection_input",
        "service_before",
        "table_parameter_input",
        "service_inner1",
        "service_inner2",
        "service_after",
    )
    assert walks(item) == {
        "data_collection_input before inner1 inner2",
        "data_collection_input before inner1 after",
        "parameter_input inner2",
    }


def test_subworkflows_nest_and_pass_inputs_on(tmp_path: Path) -> None:
    core = [step("data_input", workflow_outputs=output("same")), step("core", "0")]
    core[1]["workflow_outputs"] = output(None)  # Galaxy then names it by step and output
    middle = [
        step("data_input"),
        subworkflow(core, "0>0"),
        step("middle", "1.1:out"),
    ]
    middle[1]["workflow_outputs"] = [{"output_name": "same", "label": "through"}]
    item = read_one(
        tmp_path,
        step("a"),
        step("b"),
        step(
            "subworkflow",
            subworkflow=workflow(*middle),
            input_connections={
                "x": [{**connection(source), "input_subworkflow_step_id": 0} for source in "01"]
            },
        ),
        step("after", "2.through"),
    )
    assert walks(item) == {"a core middle", "b core middle", "a after", "b after"}


def test_a_condition_feeds_the_first_steps_inside(tmp_path: Path) -> None:
    deep = [step("deep"), step("deeper", "0")]
    inner = [
        step("data_input"),
        step("x", "0"),
        step("y", "1"),
        step("data_input"),
        step("z", "3"),
        subworkflow(deep),
    ]
    item = read_one(
        tmp_path,
        step("a"),
        step("decide"),
        subworkflow(inner, "0>0", when="1"),
        step("b", input_connections={"x": connection("0"), "when": connection("1")}),
    )
    assert walks(item) == {
        "a x y",
        "decide x y",
        "decide z",
        "data_input z",
        "decide deep deeper",
        "a b",
        "decide b",
    }


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([step("data_input"), step("a")], ["file.ga.links: no link, so no step"]),
        (
            [subworkflow([step("a", workflow_outputs=output("x"))])],
            ["file.ga.links: no link, so no step"],
        ),
        (
            [step("a", "2"), step("b", "0"), step("c", "1")],
            ["file.ga.links: cycle steps[0] -> steps[1] -> steps[2] -> steps[0]; a composition"],
        ),
        (
            # an inner input handed out and fed back
            [subworkflow([step("data_input", workflow_outputs=output("x"))], "0.x>0")],
            ["file.ga steps[0].subworkflow.steps[0]: it is fed by itself"],
        ),
        (
            # the condition waits for what it decides about
            [
                subworkflow([step("a"), step("b", "0", workflow_outputs=output("x"))], when="1"),
                step("c", "0.x"),
            ],
            ["file.ga.links: cycle steps[0].subworkflow.steps[0] -> steps[0].subworkflow.ste"],
        ),
        (
            [step("a"), step("wait", "0", type="wait")],
            ["file.ga.steps[1].type: unknown type 'wait'; known: tool, subworkflow, pause, data_"],
        ),
        (
            [step("a", "7"), subworkflow([step("b")]), step("c", "1.x"), step("subworkflow")],
            [
                "file.ga.steps[3]: no subworkflow; export",
                "file.ga.steps[0].input_connections['input0']: unknown source '7: out'; name",
                "file.ga.steps[2].input_connections['input0']: unknown source '1: x'; name",
            ],
        ),
        (
            [step("a"), subworkflow([step("", type="tool"), step("data_input")], "0>1", "0>3")],
            [
                "file.ga.steps[1].subworkflow.steps[0]: tool_id is ''; a step",
                "file.ga.steps[1].input_connections['input1']: unknown inner input '3'; name",
            ],
        ),
        (
            [step("a"), step("b", tool_id=3), step("c", "0", workflow_outputs=[{}])],
            [
                "file.ga.steps[2].workflow_outputs[0]: Object missing required field `output_name`",
                "file.ga.steps[1]: tool_id is 3; a step of type tool must name its tool",
            ],
        ),
    ],
)
def test_faults_name_file_and_step(tmp_path: Path, steps: list[Step], expected: list[str]) -> None:
    found = faults(read_one(tmp_path, *steps))
    assert [fault[: len(start)] for fault, start in zip(found, expected, strict=True)] == expected


def test_a_file_that_is_no_workflow_is_one_invalid_composition(tmp_path: Path) -> None:
    good = json.dumps(workflow(step("a"), step("b", "0")))
    deep = '{"steps": {"0": ' * 2_000
    for name, text in {"1": good, "2": "<html>", "3": "{}", "4": deep, "5": good}.items():
        (tmp_path / f"{name}.ga").write_text(text)
    first, html, empty, nested, last = galaxy_workflows(tmp_path).read()
    assert isinstance(last, Composition)
    assert first == last._replace(place="1.ga")
    assert faults(html) == [
        "2.ga: unexpected '<html>' in line 1; give a Galaxy workflow (.ga), in JSON"
    ]
    assert faults(empty) == ["3.ga: Object missing required field `steps`"]
    assert len(faults(nested)) == 1


def test_folder_glob_and_file(tmp_path: Path) -> None:
    for name in ("b.ga", "a.ga", "sub/c.ga", "a.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(workflow(step(path.stem), step("end", "0"))))

    def first_steps(path: Path) -> list[str]:
        items = list(galaxy_workflows(path).read())
        return [item.names[0] for item in items if isinstance(item, Composition)]

    assert first_steps(tmp_path) == ["service_a", "service_b", "service_c"]
    assert first_steps(tmp_path / "**" / "*.ga") == ["service_a", "service_b", "service_c"]
    assert first_steps(tmp_path / "b.ga") == ["service_b"]
    with pytest.raises(DataError, match=r"x\*\.ga: no file there .* a file of a Galaxy workflow"):
        first_steps(tmp_path / "x*.ga")


def test_without_a_path_the_default_folder_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGREC_DATA_DIR", raising=False)
    with pytest.raises(DataError, match=r"^data.path is null and DAGREC_DATA_DIR is not set; name"):
        list(galaxy_workflows(None).read())
    monkeypatch.setenv("DAGREC_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError, match=r"galaxy does not exist; name .* with data.path=PATH"):
        galaxy_workflows(None).sha256()
    (tmp_path / "galaxy").mkdir()
    (tmp_path / "galaxy" / "a.ga").write_text(json.dumps(workflow(step("a"), step("b", "0"))))
    assert len(list(galaxy_workflows(None).read())) == 1


def test_the_hash_is_that_of_sha256sum(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.ga").write_text(name)
    command = "LC_ALL=C sha256sum *.ga | sha256sum"
    told = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True).stdout
    assert galaxy_workflows(tmp_path).sha256() == told.split()[0]


def test_what_old_exports_have_changes_nothing(tmp_path: Path) -> None:
    """A number as tool of a subworkflow step, null for nothing, a byte order mark, gzip, .GA."""
    core = [step("data_input"), step("core", "0", workflow_outputs=output("x"))]
    steps = [step("data_input"), subworkflow(core, "0>0"), step("last", "1.x")]
    plain = read_one(tmp_path, *steps)
    steps[1]["tool_id"] = 185_361
    steps[0] |= {"input_connections": None, "workflow_outputs": None, "tool_id": 7}
    text = json.dumps(workflow(*steps)).encode()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "A.GA").write_bytes(BOM + text)
    (tmp_path / "old" / "b.ga.gz").write_bytes(gzip.compress(BOM + text))
    items = list(galaxy_workflows(tmp_path / "old").read())
    assert [item.place for item in items if isinstance(item, Composition)] == ["A.GA", "b.ga.gz"]
    for item in items:
        assert isinstance(item, Composition)
        assert item._replace(place="file.ga", ids=()) == plain


def test_a_pause_passes_on_what_feeds_it(tmp_path: Path) -> None:
    pause = {"type": "pause", "tool_id": None}
    item = read_one(
        tmp_path,
        step("a"),
        step("", "0", **pause),
        step("", "1", "4", **pause),
        step("b", "2"),
        step("data_input"),
        step("", **pause),  # nothing feeds it
        step("c", "5", "3"),
    )
    assert walks(item) == {"a b c", "data_input b c"}


def test_one_broken_step_is_one_fault(tmp_path: Path) -> None:
    core = [step("data_input"), step("core", "0", workflow_outputs=output("x"))]
    broken = [*core, step("bad", "1", type=3)]
    inside = [step("data_input"), step("core", "0", workflow_outputs=[{"label": "x"}])]
    for steps in (
        [step("a", type=5), step("b", "0"), step("c", "1", "0")],
        [step("a"), subworkflow(broken, "0>0"), step("c", "1.x")],
        [step("a"), subworkflow(inside, "0>0"), step("c", "1.x")],
    ):
        assert len(faults(read_one(tmp_path, *steps))) == 1


@pytest.mark.real
def test_the_iwc_workflows_as_an_older_server_exports_them(tmp_path: Path) -> None:
    source = Path(os.environ["DAGREC_DATA_DIR"], "galaxy_iwc")
    for k, file in enumerate(sorted(source.glob("*.ga"))):
        content = file.read_bytes()
        whole = json.loads(content)
        for each in whole["steps"].values():
            if each["type"] == "subworkflow":
                each["tool_id"] = 185_361
        text = BOM * (k % 2) + json.dumps(whole).encode()
        path = tmp_path / str(k % 3) / f"{file.stem}{('.ga', '.GA', '.ga.gz')[k % 3]}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(text) if k % 3 == 2 else text)
    items = [item for item in galaxy_workflows(tmp_path).read() if isinstance(item, Composition)]
    assert len(items) == 84
    assert sum(len(item.links) for item in items) == 2_925


@given(st.data())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_damage_raises_anything(tmp_path: Path, data: st.DataObject) -> None:
    inner = [step("data_input"), step("x", "0", workflow_outputs=output("é"))]
    whole = workflow(step("a"), subworkflow(inner, "0>0", when="0"), step("c", "1.é"))
    content = bytearray(json.dumps(whole, ensure_ascii=False).encode())
    start = data.draw(st.integers(0, len(content)))
    stop = start + data.draw(st.integers(0, 3))
    content[start:stop] = data.draw(st.binary(max_size=2) | st.sampled_from([b"{", b"]", b"1"]))
    path = tmp_path / "file.ga"
    path.write_bytes(content)
    with suppress(DataError):  # of a file that begins like one that is packed
        assert list(galaxy_workflows(path).read())


@pytest.mark.real
def test_the_iwc_workflows(config: Any) -> None:
    files = sorted(Path(os.environ["DAGREC_DATA_DIR"], "galaxy_iwc").glob("*.ga"))
    found = build(config("data", "galaxy_workflows"), "data").read()
    items = dict(zip([file.stem for file in files], found, strict=True))
    assert len(items) == 84
    n_plain = 0
    for file in files:
        steps = json.loads(file.read_text())["steps"]
        if any(each["type"] == "subworkflow" for each in steps.values()):
            continue
        n_plain += 1
        links = {
            (source["id"], each["id"])
            for each in steps.values()
            for found in each["input_connections"].values()
            for source in (found if isinstance(found, list) else [found])
        }
        assert set(items[file.stem].links) == links
    assert n_plain == 63
    paths = {name: count_paths(len(item.names), item.links) for name, item in items.items()}
    # counted once by contracting the subworkflows' ends in networkx
    assert sum(len(item.links) for item in items.values()) == 2_925
    assert sum(paths.values()) == 36_240
    assert sorted(paths, key=paths.__getitem__)[-3:] == [
        "MAGs-generation",
        "mgnify-amplicon-pipeline-v5-complete",
        "Post_Curation",
    ]
    assert paths["MAGs-generation"] == 1_972  # no subworkflow; README of the data: about 2,000
    assert paths["mgnify-amplicon-pipeline-v5-complete"] == 6_484
    assert paths["Post_Curation"] == 23_904
