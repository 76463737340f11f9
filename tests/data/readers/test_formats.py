import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition, Invalid, Shard
from dagrec_cli.data.readers.formats import START, likely_option
from dagrec_cli.errors import DataError

STEP = {"type": "tool", "tool_id": "a", "input_connections": {}}
SAMPLES = {
    "compositions": json.dumps({"nodes": [{"id": 1}], "edges": [{"source": 1, "target": 1}]}),
    "edges": "workflow;source;target\nw;a;b",
    "galaxy_connections": "1\t2013-02-07 16:48\t1\ta\t1\t2\tb\t1",
    "galaxy_workflows": json.dumps({"a_galaxy_workflow": "true", "steps": {"0": STEP}}),
    "n8n_workflows": json.dumps({"nodes": [{"name": "a", "type": "b"}], "connections": {"a": {}}}),
    "comfyui_workflows": json.dumps({"3": {"class_type": "KSampler", "inputs": {}}}),
    "wfcommons": json.dumps({"name": "x", "schemaVersion": "1.5", "workflow": {"execution": {}}}),
    "gxformat2": "class: GalaxyWorkflow\nsteps: []",
}
READERS = sorted(SAMPLES.keys() - {"gxformat2"})


@pytest.mark.parametrize("option", SAMPLES)
@pytest.mark.parametrize("reader", READERS)
def test_a_wrong_reader_is_answered_with_the_right_one(
    tmp_path: Path, config: Any, reader: str, option: str
) -> None:
    path = tmp_path / "file"
    path.write_text(SAMPLES[option])
    source = build(config("data", reader, path=str(path)), "data")
    try:
        (item, *_) = source.read()
        told = "" if isinstance(item, Composition) else str(item.faults[0])
    except DataError as error:
        told = str(error)
    hint = f"it looks like a file for data={option}"
    assert told.count(hint) == (reader != option)


def test_links_tell_the_format_however_late_they_come(tmp_path: Path, config: Any) -> None:
    path = tmp_path / "file"
    nodes = [{"id": k, "note": "x" * 90} for k in range(3000)]
    path.write_text(json.dumps({"nodes": nodes, "links": [{"source": 1, "target": 2}]}))
    (item,) = build(config("data", "n8n_workflows", path=str(path)), "data").read()
    assert "it looks like a file for data=compositions" in item.faults[0].problem


def test_what_is_unknown_is_not_named() -> None:
    for text in ("", "{}", "[1]", "<html>", "a,b\n1,2", "a source and a goal", "\xff"):
        assert likely_option(text.encode()) == ""


def test_the_keys_of_another_file_are_named(tmp_path: Path, config: Any) -> None:
    path = tmp_path / "file"
    text = json.dumps({"name": "x", "steps": {}, **dict.fromkeys("abcdefghij")})
    path.write_text(text.replace("null", "1e400"))  # a number that no float can hold
    (item,) = build(config("data", "compositions", path=str(path)), "data").read()
    (fault,) = item.faults
    assert fault.problem == "no nodes among its keys (name, steps, a, b, c, d, e, f, g, h, …)"


def damage(path: Path, kind: str, sample: str) -> None:
    contents = {
        "not UTF-8": b"\xe9" * 9,
        "broken gzip": gzip.compress(sample.encode())[:-9],
        "a UTF-16 file": sample.encode("utf-16"),
        "a UTF-16 or binary file": sample.encode("utf-16-le"),
        "the file is empty": b" \n",
    }
    if kind == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(contents.get(kind, b"x"))


@pytest.mark.parametrize(
    "kind",
    [
        *("not UTF-8", "broken gzip", "a UTF-16 file", "a UTF-16 or binary file", "a pipe"),
        *("the file is empty", "Permission denied"),
    ],
)
@pytest.mark.parametrize("reader", SAMPLES)
def test_a_file_that_cannot_be_read_is_one_line_or_among_others_one_composition(
    tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch, reader: str, kind: str
) -> None:
    source = build(config("data", reader, path=str(tmp_path)), "data")
    bad, good = (tmp_path / f"{name}{source.suffixes[0]}" for name in ("bad", "good"))
    damage(bad, kind, SAMPLES[reader])
    if kind == "Permission denied":  # root may read any file
        plain = os.open

        def refuse(path: Any, *flags: Any) -> int:
            if path == bad:
                raise PermissionError(13, kind)
            return plain(path, *flags)

        monkeypatch.setattr(os, "open", refuse)
    shard = Shard(bad, bad.name)
    if (reader, kind) != ("gxformat2", "not UTF-8"):  # a file is a composition, so this is a fault
        with pytest.raises(DataError, match=f"^{bad}: [^\n]*{kind}"):
            list(source.read_shard(shard))
    good.write_text(SAMPLES[reader])
    (item,) = source.read_shard(shard)
    assert isinstance(item, Invalid)
    assert item.is_fault == (kind != "the file is empty")
    ((place, problem),) = item.faults
    assert place == bad.name
    assert kind in problem
    assert str(tmp_path) not in problem
    assert len(source.sha256()) == 64


@pytest.mark.real
def test_real_files_are_known() -> None:
    folder = Path(os.environ["DAGREC_DATA_DIR"])
    expected = {
        "geoportal/*.json": "compositions",
        "galaxy_iwc/*.ga": "galaxy_workflows",
        "galaxy_*/*.tsv": "galaxy_connections",
        "n8n_ccby/*.json": "n8n_workflows",
        "wfcommons/*.json": "wfcommons",
        "gxformat2/*.yml": "gxformat2",
    }
    for pattern, option in expected.items():
        for file in folder.glob(pattern):
            assert likely_option(file.read_bytes()[:START]) == option, file
