import json
import os
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.readers.formats import likely_option
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


def test_what_is_unknown_is_not_named() -> None:
    for text in ("", "{}", "[1]", "<html>", "a,b\n1,2", "a source and a goal", "\xff"):
        assert likely_option(text.encode()) == ""


def test_the_keys_of_another_file_are_named(tmp_path: Path, config: Any) -> None:
    path = tmp_path / "file"
    path.write_text(json.dumps({"name": "x", "steps": {}, **dict.fromkeys("abcdefghij")}))
    (item,) = build(config("data", "compositions", path=str(path)), "data").read()
    (fault,) = item.faults
    assert fault.problem == "no nodes among its keys (name, steps, a, b, c, d, e, f, g, h, …)"


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
            assert likely_option(file.read_bytes()[: 2**18]) == option, file
