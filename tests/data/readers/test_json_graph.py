"""A key that an object has twice is a fault with its place, in every reader of JSON."""

import json
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.data.composition import Composition, Invalid
from dagrec_cli.data.naming import Naming
from dagrec_cli.data.queries import Unanswerable, read_queries
from dagrec_cli.data.readers.galaxy_workflows import GalaxyWorkflows
from dagrec_cli.data.readers.json_file import JsonFile
from dagrec_cli.data.readers.json_graph import repeated_key
from dagrec_cli.data.vocabulary import Vocabulary
from read_items import SETTINGS

KEYS = {
    "service_key": "mid",
    "owner_key": "owner",
    "time_key": "start_time",
    "end_key": "end_time",
}
NODES = '"nodes": [{"id": 1}, {"id": 2, "mid": 5, "owner": "u", "start_time": 0}]'
LINKS = '"links": [{"source": 1, "target": 2}]'
STEPS = json.dumps(
    {
        "steps": {
            "0": {"type": "data_input"},
            "1": {
                "type": "tool",
                "tool_id": "a",
                "input_connections": {"in": {"id": 0, "output_name": "o"}},
            },
        }
    }
)


def read(file: Path, text: str) -> Composition | Invalid:
    file.write_text(text)
    if file.suffix == ".ga":
        reader: Any = GalaxyWorkflows(path=str(file), **SETTINGS)
    else:
        reader = JsonFile(path=str(file), table_mid_min=10**6, download=None, **KEYS, **SETTINGS)
    (found,) = reader.read()
    assert isinstance(found, Composition | Invalid)
    return found


@pytest.mark.parametrize(
    ("text", "place", "key"),
    [
        (f'{{{NODES}, {LINKS}, "nodes": []}}', "", "nodes"),
        (f"{{{LINKS}, {NODES}, {LINKS}}}", "", "links"),
        (
            f"{{{NODES.replace('2,', '3, ' + chr(34) + 'id' + chr(34) + ': 2,')}, {LINKS}}}",
            ".nodes[1]",
            "id",
        ),
        (f"{{{NODES}, {LINKS}}}".replace('"mid": 5', '"mid": null, "mid": 5'), ".nodes[1]", "mid"),
        (f"{{{NODES}, {LINKS}}}".replace("1}, ", r'1, "\u0069d": 1}, '), ".nodes[0]", "id"),
        (
            f"{{{NODES}, {LINKS}}}".replace('"target": 2', '"target": 1, "target": 2'),
            ".links[0]",
            "target",
        ),
        (
            f"{{{NODES}, {LINKS}}}".replace('"source": 1', '"source": 2, "source": 1'),
            ".links[0]",
            "source",
        ),
        (f'{{{NODES}, {LINKS}, "owner": 1, "owner": 2}}', "", "owner"),
        (f'{{{NODES}, {LINKS}, "start_time": 1, "start_time": 2}}', "", "start_time"),
        (f'{{"composition": {{{NODES}, {LINKS}}}, "composition": null}}', "", "composition"),
        (f'{{"composition": {{{NODES}, {LINKS}, "nodes": []}}}}', ".composition", "nodes"),
    ],
)
@pytest.mark.parametrize("form", ["[{}]", "{}\n"])
def test_a_composition(tmp_path: Path, form: str, text: str, place: str, key: str) -> None:
    found = read(tmp_path / "a.json", form.replace("{}", text))
    assert isinstance(found, Invalid)
    suffix = " (line 1)" if form == "{}\n" else ""
    assert [(f.place, f.problem) for f in found.faults] == [
        (f"compositions[0]{place}{suffix}", f"duplicate key {key!r}; give it once")
    ]


@pytest.mark.parametrize(
    "extra",
    [
        '"name": "id", "what": "nodes"',
        '"data": [{"id": 1, "source": 2, "owner": null}, {"id": 1}]',
        r'"text": "{\"id\": 1, \"id\": 2, \"nodes\": 1}"',
        '"name": 1, "name": 2',
        f'"composition": {{{NODES}, {LINKS}}}',
    ],
)
def test_what_is_no_duplicate_is_read(tmp_path: Path, extra: str) -> None:
    assert isinstance(read(tmp_path / "a.json", f"{{{NODES}, {LINKS}, {extra}}}"), Composition)


@pytest.mark.parametrize(
    ("old", "new", "place", "key"),
    [
        ('{"steps"', '{"steps": {}, "steps"', "", "steps"),
        ('"1": {', '"0": {"type": "tool", "tool_id": "b"}, "1": {', ".steps", "0"),
        ('"tool_id"', '"tool_id": "b", "tool_id"', ".steps.1", "tool_id"),
        ('"in": {', '"in": [], "in": {', ".steps.1.input_connections", "in"),
    ],
)
def test_a_workflow(tmp_path: Path, old: str, new: str, place: str, key: str) -> None:
    assert isinstance(read(tmp_path / "a.ga", STEPS), Composition)
    found = read(tmp_path / "a.ga", STEPS.replace(old, new, 1))
    assert isinstance(found, Invalid)
    assert [(f.place, f.problem) for f in found.faults] == [
        (f"a.ga{place}", f"duplicate key {key!r}; give it once")
    ]


def test_a_line_of_contexts() -> None:
    names = Vocabulary(("service_a", "table_b"), (True, False), ("service_a",))
    (found,) = read_queries([b'{"context": ["a"], "context": ["b"]}'], Naming(names))
    assert isinstance(found, Unanswerable)
    assert (found.place, found.problem) == ("line 1", "duplicate key 'context'; give it once")


@pytest.mark.parametrize(
    "text", ["{", '{"a": 1, "a": 2', "[" * 10, '{"a": tru}', b"\xff", '{"a": ' + "1" * 5000 + "}"]
)
def test_a_broken_text_is_left_to_the_reader(text: str | bytes) -> None:
    assert repeated_key(text) is None
