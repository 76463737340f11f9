"""Damaged files and command lines, drawn from a seed; and what the command makes of them."""

import gzip
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from dagrec_cli.app.guard import explained
from dagrec_cli.cli import main
from dagrec_cli.commands.data import validate

SECONDS = 5
VALUES = (
    *("1e400", "-0", "NaN", "Infinity", "1" * 30, "9" * 5000, "-1", "1.5", "true", "null", '""'),
    *('"\\ud800"', '"é☃"', '"a\\u0000b"', "[]", "{}", "[" * 2000, '{"a":' * 2000, '"' + "x" * 5000),
)
PIECES = (b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\r\n", b"\t", b'"', b"{", b"]", b",", b"1", b"\n")

# What a galaxy would export: an input step, two tools, a subworkflow fed from outside.
INNER = {
    "steps": {
        "0": {"type": "data_input"},
        "1": {
            "type": "tool",
            "tool_id": "Sort1",
            "input_connections": {"x": {"id": 0, "output_name": "output"}},
            "workflow_outputs": [{"output_name": "out", "label": "sorted"}],
        },
    }
}
FLOW = {
    "steps": {
        "0": {"type": "data_input"},
        "1": {
            "type": "tool",
            "tool_id": "toolshed/repos/iuc/star/rna_star/2.7",
            "input_connections": {"x": [{"id": 0, "output_name": "output"}]},
        },
        "2": {
            "type": "subworkflow",
            "subworkflow": INNER,
            "input_connections": {
                "y": {"id": 1, "output_name": "out", "input_subworkflow_step_id": 0}
            },
        },
        "3": {
            "type": "tool",
            "tool_id": "Cut1",
            "input_connections": {"z": {"id": 2, "output_name": "sorted"}},
        },
    }
}
ONE = {
    "nodes": [
        {"id": 1, "owner": "me"},
        {"id": "2", "mid": 7, "start_time": "2020-03-16T12:24:15"},
        {"id": 3, "mid": "8"},
    ],
    "links": [{"source": 1, "target": 2}, {"source": 2, "target": 3}],
}
HEADER = "wf_id\twf_updated\tout_id\tout_tool\tout_v\tin_id\tin_tool\tin_v\tdeleted\thas_errors"
LINKS = [
    "workflow,source,target,source_id,target_id,time,owner",
    "w,table_a,b,1,2,2020-03-16,me",
    "w,b,c,2,3,,",
]
ROWS = ["w1\t2019-02-07\t1\t\t\t2\tCut1\t1", "w1\t2019-02-07\t2\tCut1\t1\t3\tSort1\t1"]
SYNTHETIC = {
    "array.json": json.dumps([ONE, {"composition": ONE}], indent=1),
    "lines.jsonl": f"{json.dumps(ONE)}\n" * 3,
    "one.json": json.dumps(ONE, indent=1),
    "flow.ga": json.dumps(FLOW),
    "table.tsv": "\n".join(ROWS),
    "header.tsv": "\n".join([HEADER, *(f"{row}\tf\t0" for row in ROWS)]),
    "links.csv": "\n".join(LINKS),
}

FLOWS = Path(__file__).parent / "flows"  # a workflow of each format, small and with all there is
SYNTHETIC |= {file.name: file.read_text() for file in sorted(FLOWS.iterdir())}
OPTIONS = {  # that read a file, by the end of its name
    ".ga": "galaxy_workflows",
    ".tsv": "galaxy_connections",
    ".csv": "edges",
    ".n8n.json": "n8n_workflows",
    ".comfyui.json": "comfyui_workflows",
    ".png": "comfyui_workflows",
    ".wfcommons.json": "wfcommons",
    ".gxwf.yml": "gxformat2",
}

Told = tuple[int, str, str]
Run = Callable[..., Told]


class TooSlowError(BaseException):
    """A command took longer than it may."""


def data_of(name: str) -> str:
    """Return the option of the group ``data`` that reads such a file."""
    name = name.removesuffix(".gz")
    return next((OPTIONS[end] for end in OPTIONS if name.endswith(end)), "compositions")


def picture(workflow: bytes) -> bytes:
    """Return the chunks of a PNG that matter: a header, and a workflow in a text."""
    text = b"workflow\0" + workflow
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(17)
    return header + len(text).to_bytes(4) + b"tEXt" + text + bytes(4)


def samples(*, real: bool) -> dict[str, bytes]:
    """Return sound files by name: synthetic ones, or some of the real ones."""
    if not real:
        made = {name: text.encode() for name, text in SYNTHETIC.items()}
        return made | {"picture.png": picture(made["editor.comfyui.json"])}
    folder = Path(os.environ["DAGREC_DATA_DIR"])
    portal = json.loads((folder / "geoportal/compositionsDAG.json").read_bytes())
    tables = {"real.tsv": "galaxy_tsv/workflow-connections.tsv"}
    tables["header.tsv"] = "galaxy_1903/workflow-connections-19-03.tsv"
    flows = sorted(folder.glob("galaxy_iwc/*.ga"), key=lambda file: file.stat().st_size)
    ends = {"n8n_ccby": ".n8n.json", "wfcommons": ".wfcommons.json", "gxformat2": ".gxwf.yml"}
    return {
        **{
            file.name.partition(".")[0] + end: file.read_bytes()
            for name, end in ends.items()
            for file in sorted(folder.glob(f"{name}/*"))[:4]
        },
        "portal.json": json.dumps(portal[:20], indent=1).encode(),
        **{
            name: b"".join((folder / path).read_bytes().splitlines(keepends=True)[:200])
            for name, path in tables.items()
        },
        **{file.name: file.read_bytes() for file in flows[:5]},
    }


def damaged(content: bytes, random: Random) -> bytes:
    """Return a file with one to three faults: bytes, pieces, values, keys; perhaps gzipped."""
    is_packed = random.random() < 0.15
    if is_packed and random.random() < 0.5:
        content, is_packed = gzip.compress(content, 1), False
    for _ in range(random.randint(1, 3)):
        content = random.choice((_flip, _cut, _insert, _swap, _value, _repeat))(content, random)
    return gzip.compress(content, 1) if is_packed else content


def _flip(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) + 1)
    return content[:at] + random.randbytes(1) + content[at + 1 :]


def _cut(content: bytes, random: Random) -> bytes:
    start = random.randrange(len(content) + 1)
    return content[:start] + content[random.randint(start, len(content)) :]


def _insert(content: bytes, random: Random) -> bytes:
    at = random.randrange(len(content) + 1)
    return content[:at] + random.choice(PIECES) * random.choice((1, 1, 3000)) + content[at:]


def _swap(content: bytes, random: Random) -> bytes:
    keys = (b"id", b"mid", b"source", b"target", b"nodes", b"links", b"steps", b"type", b"tool_id")
    keys += (b"name", b"node", b"connections", b"inputs", b"outputs", b"class_type", b"origin_id")
    keys += (
        b"tasks",
        b"parents",
        b"children",
        b"run",
        b"in",
        b"subgraphs",
        b"workflow",
        b"command",
    )
    old, new = random.sample(keys, 2)
    return content.replace(old, new, random.randint(1, 3))


def _value(content: bytes, random: Random) -> bytes:
    """Replace what follows a colon or a tab, as far as the next mark."""
    marks = [k for k, byte in enumerate(content[:5000]) if byte in b":\t"]
    if not marks:
        return content
    at = random.choice(marks) + 1
    end = next((k for k in range(at, len(content)) if content[k] in b",}]\t\n"), len(content))
    return content[:at] + random.choice(VALUES).encode() + content[end:]


def _repeat(content: bytes, random: Random) -> bytes:
    start = random.randrange(len(content) + 1)
    piece = content[start : start + random.randint(0, 200)]
    return content[:start] + piece * random.choice((2, 50)) + content[start:]


@contextmanager
def _watched(words: list[str]) -> Iterator[None]:
    def late(*_: object) -> None:
        raise TooSlowError(words)

    before = signal.signal(signal.SIGPROF, late), signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of its own, whatever else the machine does
    signal.setitimer(signal.ITIMER_REAL, 20 * SECONDS)  # waits for what never comes: a pipe, say
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGPROF, before[0])
        signal.signal(signal.SIGALRM, before[1])


def told(words: list[str], act: Callable[[], None]) -> Told:
    """Return exit code, stdout and stderr of what ends like a command; 99 with a traceback."""
    out, err, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["dagrec", *words]):
        try:
            with _watched(words):
                act()
        except SystemExit as stop:
            code = int(stop.code or 0)
        except (Exception, TooSlowError):
            return 99, out.getvalue(), traceback.format_exc()
    return code, out.getvalue(), err.getvalue()


def run_main(*words: str) -> Told:
    """Run ``dagrec WORDS`` in this process."""
    GlobalHydra.instance().clear()
    return told(list(words), main)


def run_validate(config: DictConfig) -> Told:
    """Run what ``dagrec data validate`` runs once Hydra has composed its config."""

    def act() -> None:
        with explained("data validate"):
            validate(config)

    return told([str(config.data.path)], act)


def check_told(answer: Told, *about: Any) -> None:
    """Exit code 0, 1 or 2; an error is one line on stderr, no error none."""
    code, _, err = answer
    assert code in (0, 1, 2), (*about, err)
    assert err.count("\n") == bool(code), (*about, err)
    assert len(err) < 1100, (*about, err)


@pytest.fixture(scope="session")
def fuzz() -> Any:
    """The functions above."""
    return sys.modules[__name__]
