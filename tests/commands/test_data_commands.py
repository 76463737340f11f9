"""``dagrec data describe``, ``validate`` and ``fetch``."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from omegaconf import OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.config.where import config_dir
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.readers import json_file, json_records

Dagrec = Callable[..., Any]

TWO = {
    "nodes": [{"id": 1}, {"id": 2, "mid": 7}, {"id": 3, "mid": 8}],
    "links": [{"source": 1, "target": 2}, {"source": 2, "target": 3}],
}
LINK = {"source": 2, "target": 4}
LOOP = {**TWO, "links": [{"source": 2, "target": 3}, {"source": 3, "target": 2}]}
NONE = {**TWO, "links": []}
TWICE = {**TWO, "nodes": [*TWO["nodes"], {"id": 1}], "links": [{"source": 1, "target": 9}]}


def write(folder: Path, *compositions: object, name: str = "mine.jsonl") -> str:
    (folder / name).write_text("".join(f"{json.dumps(each)}\n" for each in compositions))
    return f"data.path={name}"


def test_describe_counts_a_file_by_hand(dagrec: Dagrec, tmp_path: Path) -> None:
    """Ten times t1 -> s7 -> s8: pairs (t1, s7) and (t1 s7, s8); 30 % of 20 pairs are 6."""
    path = write(tmp_path, *[TWO] * 10, LOOP)
    words = ["data=compositions", path, "data.on_invalid=skip", "format=json"]
    answer = dagrec("data", "describe", *words)
    assert (answer.code, answer.err) == (0, "")
    found = json.loads(answer.out)
    assert (found["compositions"], found["duplicates"]) == (10, 9)
    assert (found["steps"], found["distinct_steps"], found["distinct_contexts"]) == (20, 2, 2)
    assert found["entries"] == 3
    assert (found["nodes"], found["tables"], found["services"]) == (3, 1, 2)
    assert (found["target_services"], found["edges"]) == (2, 2)
    assert found["context_depths"] == {"1": 10, "2": 10}
    assert found["targets"] == {"service_7": 10, "service_8": 10}
    assert (found["train_pairs"], found["test_pairs"]) == (14, 6)
    assert (found["leaked_pairs"], found["leaked_contexts"]) == (1, 1)
    assert found["left_out"].startswith("1 composition skipped: 1 x cycle")
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.jsonl"]


def test_describe_prints_a_table(dagrec: Dagrec) -> None:
    text = dagrec("data", "describe").out
    assert "data=synthetic" in text
    assert "1,016" in text
    assert "711 train, 305 test" in text
    assert "1: 943, 2: 57, 3: 16" in text  # 886 + 41 + 16 paths, 41 + 16 of them longer, 16 longest


def test_what_a_split_held_out_is_said_by_describe_and_below_the_table(
    dagrec: Dagrec, tmp_path: Path
) -> None:
    """Nine of ten compositions are equal: 18 of 22 pairs, for the other has two paths."""
    other = {**TWO, "nodes": [*TWO["nodes"], {"id": 4, "mid": 9}], "links": [*TWO["links"], LINK]}
    path = write(tmp_path, *[TWO] * 9, other)
    words = ["data=compositions", path, "split=composition", "data.context=path"]
    text = " ".join(dagrec("data", "describe", *words).out.split())
    assert "18.2% of the pairs (asked: 30%)" in text
    answer = dagrec("train", *words, "model=popularity", "progress=false")
    assert (answer.code, answer.err) == (0, "")
    below = " ".join(answer.out.split())
    for warning in ("one group has 81.8% of the pairs", "every split.seed gives the same sides"):
        assert warning in text
        assert warning in below
    assert "Split: 18.2% of the pairs (asked: 30%) held out; 2 groups, the largest" in below
    assert answer.result()["data"]["held_out"]["test"]["groups"] == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["format=xml"], "format is 'xml'; use one of table, json."),
        (["data=compositions"], "data.path is null; name a file"),
        (["+color=red"], "unknown setting 'color'; known: data, split, format."),
    ],
)
def test_describe_refuses(dagrec: Dagrec, words: list[str], line: str) -> None:
    assert dagrec("data", "describe", *words).refusal.startswith(f"dagrec data describe: {line}")


@pytest.mark.real
def test_describe_the_paper_s_data(dagrec: Dagrec, geoportal: Dataset) -> None:
    """The figures of the paper's data (PAPER §2 and the data's README)."""
    found = json.loads(dagrec("data", "describe", "data=geoportal", "format=json").out)
    expected = {
        "compositions": 943,
        "duplicates": 837,  # 89 %
        "steps": 1016,
        "distinct_steps": 109,
        "distinct_contexts": 51,
        "entries": 146,
        "nodes": 50,
        "tables": 34,
        "services": 16,
        "target_services": 15,
        "edges": 97,
        "context_depths": {"1": 943, "2": 57, "3": 16},
        "train_pairs": 711,
        "test_pairs": 305,
        "left_out": "none",
        "owners": [527, 360, 23, 14, 13, 6],  # counted by hand in the service calls
        "unused": [
            "owners (model.owner asks for them)",
            "start times (split=temporal asks for them)",
            "end times",
        ],
        "sha256": "8a661b3155c235e5d19f517d66cd9e215d174de8644a566e6074e20621de70a4",
    }
    assert {key: found[key] for key in expected} == expected


def test_validate_passes_a_sound_file(dagrec: Dagrec, tmp_path: Path) -> None:
    answer = dagrec("data", "validate", write(tmp_path, TWO, TWO))
    assert (answer.code, answer.out, answer.err) == (0, "compositions: 2, faults: none\n", "")


def test_cycles_are_cut_and_what_has_no_link_is_left_out(dagrec: Dagrec, tmp_path: Path) -> None:
    again = {"source": 2, "target": 2}
    path = write(tmp_path, *[TWO] * 10, LOOP, {**LOOP, "links": [*LOOP["links"], again]}, NONE)
    words = ["data=compositions", path, "data.on_cycle=cut"]
    found = json.loads(dagrec("data", "describe", *words, "format=json").out)
    assert found["dropped"] == {"links that close a cycle": 3}
    assert found["left_out"] == "1 composition skipped: 1 x no link, so no step"
    assert found["compositions"] == 12
    answer = dagrec("train", *words, "model=popularity", "progress=false")
    assert (answer.code, answer.err) == (0, "")
    below = " ".join(answer.out.split())
    assert "Left out: 1 composition skipped: 1 x no link, so no step." in below
    assert "Dropped from compositions: links that close a cycle (3)." in below
    answer = dagrec("data", "validate", path, "data.on_cycle=skip")
    assert answer.code == 0
    assert answer.out == (
        "compositions: 13, faults: none (3 compositions skipped: 1 x cycle, 1 x node is linked to "
        "itself, 1 x no link, so no step)\n"
    )


def test_validate_names_every_fault_with_its_place(dagrec: Dagrec, tmp_path: Path) -> None:
    answer = dagrec("data", "validate", write(tmp_path, TWO, LOOP, TWICE))
    assert answer.code == 2
    cycle, duplicate, unknown = answer.out.splitlines()
    assert cycle.startswith("compositions[1].links (line 2): cycle ")
    assert duplicate.startswith("compositions[2].nodes[3].id (line 3): duplicate id '1'")
    assert unknown.startswith("compositions[2].links[0].target (line 3): unknown node '9'")
    assert "faults: 3, in 2 of 3 compositions; fix" in answer.err
    assert answer.err.count("\n") == 1


def test_validate_prints_as_many_as_asked_for(dagrec: Dagrec, tmp_path: Path) -> None:
    answer = dagrec("data", "validate", write(tmp_path, LOOP, LOOP, LOOP), "most=1")
    assert answer.code == 2
    assert answer.out.splitlines()[1:] == ["… and 2 more; most=3 prints them."]
    assert "faults: 3, in 3 of 3 compositions" in answer.err


PATHS = ("data.max_paths=1", "data.context=path")


def test_validate_counts_paths(dagrec: Dagrec, tmp_path: Path) -> None:
    fork = {**TWO, "links": [*TWO["links"], {"source": 1, "target": 3}]}
    answer = dagrec("data", "validate", write(tmp_path, fork), *PATHS)
    assert dagrec("data", "validate", write(tmp_path, fork), PATHS[0]).code == 0
    assert answer.code == 2
    assert answer.out.startswith("compositions[0]")
    assert "too many paths (2)" in answer.out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["data.path=none.json"],
            "none.json: no such file; give an existing one with data.path=",
        ),
        (["data.path=."], ".: no file there (in a folder those count that end in .json, .jsonl"),
        ([], "data.path is null; name a file of a JSON array of compositions, or one composition"),
        (["most=-1"], "most is -1; use a whole number of 0 or more."),
    ],
)
def test_validate_refuses(dagrec: Dagrec, words: list[str], line: str) -> None:
    assert dagrec("data", "validate", *words).refusal.startswith(f"dagrec data validate: {line}")


def test_validate_refuses_an_empty_array(dagrec: Dagrec, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("[]")
    assert "no composition" in dagrec("data", "validate", "data.path=none.json").refusal


@pytest.mark.real
def test_validate_the_paper_s_data(dagrec: Dagrec, geoportal: Dataset) -> None:
    file = f"{os.environ['DAGREC_DATA_DIR']}/geoportal/compositionsDAG.json"
    assert (
        dagrec("data", "validate", f"data.path={file}").out == "compositions: 943, faults: none\n"
    )


@pytest.mark.real
def test_fetch_finds_what_is_at_hand(dagrec: Dagrec, geoportal: Dataset) -> None:
    answer = dagrec("data", "fetch")
    file = f"{os.environ['DAGREC_DATA_DIR']}/geoportal/compositionsDAG.json"
    assert answer.out.startswith(f"{file} (1,577,855 bytes, sha256 8a661b3155c2")
    assert (answer.code, answer.err) == (0, "")


def test_fetch_refuses_a_file_with_another_hash(
    dagrec: Dagrec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "geoportal").mkdir()
    (tmp_path / "geoportal/compositionsDAG.json").write_text("[]")
    monkeypatch.setenv("DAGREC_DATA_DIR", str(tmp_path))
    assert "sha256" in dagrec("data", "fetch").refusal


@pytest.mark.parametrize("data", ["synthetic", "compositions"])
def test_fetch_says_that_there_is_nothing_to_download(dagrec: Dagrec, data: str) -> None:
    answer = dagrec("data", "fetch", f"data={data}")
    assert answer.refusal.startswith(f"dagrec data fetch: data={data} has nothing to download; ")


def test_convert_writes_what_reads_as_the_same(dagrec: Dagrec, tmp_path: Path) -> None:
    rows = [
        "workflow,source,target,source_id,target_id,time,owner",
        "w,table_reads,map,1,2,1970-01-02,me",
        "w,table_reads,map,3,2,1970-01-03T00:00:00.5,me",  # another table of that name
        "w,map,map,2,4,,",
        "w,map,map,4,4,,",
        'v,"a, ""b""",é,x,y,,',
        "u,a,a,1,1,,",
    ]
    (tmp_path / "links.csv").write_text("\n".join(rows))
    words = ["data", "convert", "data=edges", "data.path=links.csv", "data.on_cycle=cut"]
    answer = dagrec(*words, "output=mine.jsonl.gz")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (
        "mine.jsonl.gz: 2 compositions (1 composition skipped: 1 x no link, so no step; "
        "dropped: links that close a cycle (1))\n"
    )
    source = build(config_of("edges", tmp_path / "links.csv"), "data")
    expected = [each for each in source.read() if isinstance(each, Composition)]
    for name in ("mine.jsonl.gz", "again.jsonl"):
        again = list(build(config_of("compositions", tmp_path / name), "data").read())
        assert [each._replace(place="", dropped=()) for each in again] == [
            each._replace(place="", dropped=()) for each in expected
        ]
        dagrec("data", "convert", "data.path=mine.jsonl.gz", "output=again.jsonl")


def config_of(data: str, path: Path) -> Any:
    node = OmegaConf.load(config_dir() / "data" / f"{data}.yaml")
    return OmegaConf.merge(node, {"path": str(path), "on_cycle": "cut"})


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["data=synthetic"], "output is null; say where to write with output=PATH."),
        (["output=x"], "data.path is null; name a file"),
        (["data.path=mine.jsonl", "output=x"], "compositions[0].links (line 1): cycle 2 -> 3"),
        (["data=synthetic", "output=."], "output is '.', a folder; name a file in it."),
    ],
)
def test_convert_refuses_and_writes_nothing(
    dagrec: Dagrec, tmp_path: Path, words: list[str], line: str
) -> None:
    write(tmp_path, LOOP)
    assert dagrec("data", "convert", *words).refusal.startswith(f"dagrec data convert: {line}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.jsonl"]


def test_convert_writes_nothing_that_is_not_read_again(
    dagrec: Dagrec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, *[TWO] * 9_000)
    answer = dagrec("data", "convert", "data.path=mine.jsonl", "output=out.jsonl.gz")
    assert (answer.code, answer.err) == (
        2,
        "dagrec data convert: out.jsonl.gz: it would unpack to more than 200 times its size, which "
        "is taken for a gzip bomb; write it unpacked: output=FILE.jsonl.\n",
    )
    assert not (tmp_path / "out.jsonl.gz").exists()
    lines = [msgspec.json.encode({**TWO, "owner": "x" * k}) for k in (1, 90)]
    (tmp_path / "mine.jsonl").write_bytes(b"\n".join(lines))
    n_bytes = len(lines[1])  # and more once a node says that it is a service
    for module in (json_records, json_file):
        monkeypatch.setattr(module, "LARGEST", n_bytes)
    words = ["data", "convert", "data.path=mine.jsonl", "output=out.jsonl"]
    answer = dagrec(*words)
    assert answer.err.startswith(
        f"dagrec data convert: compositions[1] (line 2): longer as JSON than the {n_bytes} bytes "
    )
    assert not (tmp_path / "out.jsonl").exists()
    answer = dagrec(*words, "data.on_invalid=skip")
    assert "1 composition (1 composition skipped: 1 x longer as JSON" in answer.out
    assert dagrec("data", "validate", "data.path=out.jsonl").code == 0


@pytest.mark.parametrize(
    "path", ["mine.jsonl", "[a.jsonl,mine.jsonl]", "*.jsonl", "second.json", "link.json", "."]
)
def test_convert_replaces_no_file_that_it_reads(dagrec: Dagrec, tmp_path: Path, path: str) -> None:
    write(tmp_path, TWO)
    write(tmp_path, TWO, name="a.jsonl")
    (tmp_path / "second.json").hardlink_to(tmp_path / "mine.jsonl")
    (tmp_path / "link.json").symlink_to("mine.jsonl")
    before = (tmp_path / "mine.jsonl").read_bytes()
    answer = dagrec("data", "convert", f"data.path={path}", f"output={tmp_path}/mine.jsonl")
    assert answer.refusal.startswith(f"dagrec data convert: output is '{tmp_path}/mine.jsonl', ")
    assert answer.err.endswith(", which is read; write elsewhere.\n")
    assert (tmp_path / "mine.jsonl").read_bytes() == before


def test_export_replaces_no_file_that_it_reads(dagrec: Dagrec, tmp_path: Path) -> None:
    assert dagrec("data", "export", "data=synthetic", "format=csv", "output=peers").code == 0
    before = (tmp_path / "peers" / "pairs.csv").read_bytes()
    words = ["data=edges", "data.path=peers/pairs.csv", "format=csv", "output=peers"]
    answer = dagrec("data", "export", *words)
    assert "output is 'peers', the folder of peers/pairs.csv, which is read;" in answer.refusal
    assert (tmp_path / "peers" / "pairs.csv").read_bytes() == before


def test_no_file_says_that_tested_steps_train(dagrec: Dagrec, tmp_path: Path) -> None:
    path = write(tmp_path, *({**TWO, "start_time": k} for k in range(3)))
    words = [path, "split=prequential", "split.blocks=each", "output=peers"]
    answer = dagrec("data", "export", "data=compositions", *words)
    assert "with split.blocks=each all steps are counted, the tested ones too" in answer.refusal
    assert not (tmp_path / "peers").exists()


def test_convert_made_up_data(dagrec: Dagrec, tmp_path: Path) -> None:
    words = ["data=synthetic", "data.compositions=40", "data.branching=0.5"]
    assert dagrec("data", "convert", *words, "output=made.jsonl").code == 0
    found = [
        json.loads(dagrec("data", "describe", *each, "format=json").out)
        for each in (words, ["data=compositions", "data.path=made.jsonl"])
    ]
    for each in found:
        each.pop("sha256")  # of the settings, and of the file
    assert found[0] == found[1]
    before = (tmp_path / "made.jsonl").read_bytes()
    words += ["data.seed=1", "output=made.jsonl"]
    answer = dagrec("data", "convert", *words)
    assert "output is 'made.jsonl', which is there already; write elsewhere, or" in answer.refusal
    assert (tmp_path / "made.jsonl").read_bytes() == before
    assert dagrec("data", "convert", *words, "overwrite=true").code == 0
    assert (tmp_path / "made.jsonl").read_bytes() != before
