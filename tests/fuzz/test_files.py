"""Damaged files: never a traceback, never more than five seconds or a gibibyte."""

import gzip
import json
import os
import resource
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dagrec_cli.config.where import config_dir

ROOT = Path(__file__).parents[2]
GIBIBYTE = 2**30
PART = 500  # files of one child process


def nodes(n: int, step: int = 1) -> list[dict[str, int]]:
    return [{"id": k // step, "mid": k} if k else {"id": 0} for k in range(n)]


def links(*pairs: tuple[int, int]) -> list[dict[str, int]]:
    return [{"source": a, "target": b} for a, b in pairs]


def ladder(n: int) -> list[tuple[int, int]]:
    """Return n diamonds in a row, which have 2**n paths."""
    return [
        pair
        for k in range(0, 3 * n, 3)
        for pair in ((k, k + 1), (k, k + 2), (k + 1, k + 3), (k + 2, k + 3))
    ]


def whole(n: int, pairs: list[tuple[int, int]], step: int = 1) -> bytes:
    return json.dumps({"nodes": nodes(n, step), "links": links(*pairs)}).encode()


def fed_twice(n: int) -> bytes:
    """Return a subworkflow of inner inputs that each feed the next one twice: 2**n ways through."""
    twice = [{"id": 0, "output_name": "o"}] * 2
    inner: dict[str, Any] = {"0": {"type": "data_input"}}
    for k in range(1, n):
        inner[str(k)] = {
            "type": "data_input",
            "input_connections": {"x": [{**each, "id": k - 1} for each in twice]},
        }
    last = {"id": n - 1, "output_name": "o"}
    inner[str(n)] = {"type": "tool", "tool_id": "Cut1", "input_connections": {"x": last}}
    feed = [{**twice[0], "input_subworkflow_step_id": k} for k in range(n)]
    outer = {
        "0": {"type": "tool", "tool_id": "Sort1"},
        "1": {
            "type": "subworkflow",
            "subworkflow": {"steps": inner},
            "input_connections": {"x": feed},
        },
    }
    return json.dumps({"steps": outer}).encode()


CHAIN = [(k, k + 1) for k in range(99_999)]
# What makes the content, as some take a second and much memory; exit code; what is told.
NASTY: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "chain.json": (lambda: whole(100_000, CHAIN), 0, "compositions: 1, faults: none"),
    "ring.json": (lambda: whole(100_000, [*CHAIN, (99_999, 0)]), 2, "must be acyclic"),
    "ladder.json": (
        lambda: whole(181, ladder(60)),
        2,
        "too many paths (1,152,921,504,606,846,976)",
    ),
    "long_ladder.json": (lambda: whole(60_001, ladder(20_000)), 2, "too many paths ("),
    "twice.json": (
        lambda: whole(100_000, [(0, 1)], step=2),
        2,
        "duplicate id '0'; nodes[0] has it",
    ),
    "nowhere.json": (
        lambda: whole(10_000, [(0, 10**6 + k) for k in range(10_000)]),
        2,
        "unknown node",
    ),
    "deep.json": (lambda: b"[" * 100_000, 2, "nested too deeply"),
    "deep.jsonl": (lambda: b'{"a":' * 100_000, 2, "nested too deeply"),
    "deep.ga": (lambda: b'{"steps":{"0":' * 100_000, 2, "nested too deeply"),
    "long_id.json": (lambda: b'[{"nodes":[{"id":"' + b"x" * 2**25 + b'"}]}]', 2, "longer than"),
    "long_line.jsonl": (lambda: b'{"' + b"x" * 2**25, 2, "longer than"),
    "fed_twice.ga": (lambda: fed_twice(60), 0, "compositions: 1, faults: none"),
    "bomb.json.gz": (lambda: gzip.compress(b"[" + b" " * 2**28), 2, "gzip bomb"),
    "bomb.jsonl.gz": (lambda: gzip.compress(b"\n" * 2**26), 2, "gzip bomb"),
    "bomb.tsv.gz": (lambda: gzip.compress((b"a\t" * 500 + b"\n") * 2**14), 2, "gzip bomb"),
    "tabs.tsv": (lambda: b"\t" * 2**25, 2, "a row longer than"),
    "nul.json": (lambda: b"\0" * 1000, 2, "a UTF-16 or binary file"),
    "nul.ga": (lambda: b"\0" * 1000, 2, "a UTF-16 or binary file"),
    "nul.tsv": (lambda: b"\0" * 1000, 2, "a UTF-16 or binary file"),
    "surrogate.ga": (lambda: b'{"steps":{"0":{"type":"\\ud800"}}}', 2, "ends too early"),
    "bytes.ga": (lambda: b'{"steps":{"0":{"type":"\xff"}}}', 2, "not UTF-8 (byte 23)"),
    "escape.tsv": (lambda: b"w\t2019-02-07\t1\t\t\t\x1b[31m\tCut1\n" * 2 + b"w\tx\n", 2, "w"),
}


@cache
def config_of(data: str) -> Any:
    node = OmegaConf.load(config_dir() / "data" / f"{data}.yaml")
    return OmegaConf.create({"data": node, "most": 100})


LARGE = ("chain.json", "ring.json", "long_ladder.json", "twice.json")  # take a second or two


def config_for(fuzz: Any, path: Path) -> Any:
    config = config_of(fuzz.data_of(path.name)).copy()
    config.data.path = str(path)
    if "ladder" in path.name:  # contexts that are DAGs have no paths to count
        config.data.context = "path"
    return config


@pytest.fixture
def limited() -> Iterator[None]:
    """At most one gibibyte above what the process has mapped."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped() + GIBIBYTE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def mapped() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LARGE)) for n in NASTY]
)
def test_a_nasty_file(fuzz: Any, tmp_path: Path, name: str) -> None:
    content, code, told = NASTY[name]
    (tmp_path / name).write_bytes(content())
    answer = fuzz.run_validate(config_for(fuzz, tmp_path / name))
    fuzz.check_told(answer, name)
    assert answer[0] == code
    assert told in answer[1] + answer[2]
    assert "\x1b" not in answer[1] + answer[2]


# What is damaged never depends on the machine: its data is a case of its own.
KINDS = [pytest.param(False, id="synthetic"), pytest.param(True, id="real", marks=pytest.mark.real)]


def check_damaged(
    fuzz: Any, found: dict[str, bytes], folder: Path, numbers: range, through_main: int
) -> list[int]:
    """Check a damaged file for each number, each so-and-so-many-th through ``main``."""
    codes = []
    for number in numbers:
        random = Random(number)
        name = random.choice(sorted(found))
        path = folder / name
        path.write_bytes(fuzz.damaged(found[name], random))
        if number % through_main == 0:
            words = ("data", "validate", f"data={fuzz.data_of(name)}", f"data.path={path}")
            answer = fuzz.run_main(*words)
        else:
            answer = fuzz.run_validate(config_for(fuzz, path))
        fuzz.check_told(answer, number, name)
        codes.append(answer[0])
    return codes


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("real", KINDS)
def test_some_hundred_damaged_files(fuzz: Any, tmp_path: Path, real: bool) -> None:
    codes = check_damaged(fuzz, fuzz.samples(real=real), tmp_path, range(200), through_main=50)
    assert 0 < codes.count(0) < 100  # else the damage is nothing but noise, or none


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_bytes_make_a_traceback(fuzz: Any, tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fuzz.SYNTHETIC)))
    (tmp_path / name).write_bytes(data.draw(st.binary(max_size=60)))
    fuzz.check_told(fuzz.run_validate(config_for(fuzz, tmp_path / name)))


@pytest.mark.slow
@pytest.mark.parametrize("real", KINDS)
def test_two_thousand_damaged_files_of_each_format(fuzz: Any, tmp_path: Path, real: bool) -> None:
    """In child processes of so many files each, which may take a gibibyte more than they have."""
    formats: dict[str, dict[str, bytes]] = defaultdict(dict)
    for name, text in fuzz.samples(real=real).items():
        formats[fuzz.data_of(name)][name] = text
    for found, start in product(formats.values(), range(0, 2_000, PART)):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                hard = resource.getrlimit(resource.RLIMIT_AS)[1]
                resource.setrlimit(resource.RLIMIT_AS, (mapped() + GIBIBYTE, hard))
                check_damaged(fuzz, found, tmp_path, range(start, start + PART), 20)
                code = 0
            except AssertionError as error:
                sys.__stderr__.write(f"{error}\n")  # type: ignore[union-attr]
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0, (*found, start)


@pytest.mark.slow
@pytest.mark.parametrize("real", KINDS)
def test_two_hundred_processes(fuzz: Any, tmp_path: Path, real: bool) -> None:
    found = fuzz.samples(real=real)
    for number in range(200):
        random = Random(-number)
        name = random.choice(sorted(found))
        (tmp_path / name).write_bytes(fuzz.damaged(found[name], random))
        words = ["data", "validate", f"data={fuzz.data_of(name)}", f"data.path={name}"]
        done = subprocess.run(
            [sys.executable, "-m", "dagrec_cli", *words],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,  # of a loaded machine
        )
        told = (done.returncode, done.stdout.decode(), done.stderr.decode())
        fuzz.check_told(told, number, name)
