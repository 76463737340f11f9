"""``dagrec data prepare``, and commands that read what it kept."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dagrec_cli.data import cache
from hand_made import result_of

Dagrec = Callable[..., Any]

GLOB = "data.path=shards/*.jsonl"


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two files of three compositions, and a cache of their own."""
    monkeypatch.setenv("DAGREC_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "shards").mkdir()
    for shard in range(2):
        compositions = [
            {
                "nodes": [{"id": 1}, {"id": 2, "mid": 7 + shard}, {"id": 3, "mid": 8 + k}],
                "links": [{"source": 1, "target": 2}, {"source": 2, "target": 3}],
            }
            for k in range(3)
        ]
        lines = "".join(f"{json.dumps(each)}\n" for each in compositions)
        (tmp_path / "shards" / f"{shard}.jsonl").write_text(lines)
    return tmp_path / "shards"


def refuse(*_: object) -> Any:
    raise AssertionError("the data were read again")


def test_what_was_prepared_is_read_by_other_commands(
    dagrec: Dagrec, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = dagrec("data", "prepare", GLOB)
    assert (answer.code, answer.err) == (0, "")
    told = re.fullmatch(r"6 compositions, 12 pairs: (\S+)\n", answer.out)
    assert told
    assert Path(told[1]).parent == shards.parent / "cache" / "prepared"
    assert dagrec("data", "prepare", GLOB).out == answer.out
    assert dagrec("data", "prepare", GLOB, "data.max_paths=9").out != answer.out

    plain = dagrec("data", "describe", "data=compositions", GLOB, "data.cache=false")
    monkeypatch.setattr("dagrec_cli.data.readers.json_file.JsonFile.read_shard", refuse)
    kept = dagrec("data", "describe", "data=compositions", GLOB)
    assert (kept.code, kept.out) == (0, plain.out)


def test_files_are_prepared_apart_and_merged(dagrec: Dagrec, shards: Path) -> None:
    for number in (0, 1):
        answer = dagrec("data", "prepare", GLOB, f"part={number}")
        assert (answer.code, answer.err) == (0, "")
        told = re.fullmatch(rf"part {number}, 3 compositions: (\S+)\n", answer.out)
        assert told
        assert Path(told[1]).parent == shards.parent / "cache" / "prepared"
    assert dagrec("data", "prepare", GLOB).out.startswith("6 compositions, 12 pairs: ")


def test_training_on_kept_data_gives_the_same_numbers(
    dagrec: Dagrec, shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "WORTH_KEEPING", 1)
    words = ["train", "trainer.epochs=2"]  # the built-in data, whose law is known
    assert dagrec(*words).code == 0
    monkeypatch.setattr("dagrec_cli.data.synthetic.Synthetic.read", refuse)
    answer = dagrec(*words)
    assert (answer.code, answer.err) == (0, "")
    assert "ceiling" in answer.out
    prepared, kept = answer.runs
    results = [result_of(run) for run in (prepared, kept)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert (prepared / "predictions.csv").read_bytes() == (kept / "predictions.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], "data.path is null; name a file of a JSON array of compositions"),
        (
            ["data.path=none/*.jsonl"],
            "none/*.jsonl: no file there (in a folder those count that end in .json",
        ),
        ([GLOB, "engine=spark"], "engine is 'spark'; use one of processes, ray."),
        ([GLOB, "data.cache=false"], "data.cache is false"),
        (["data=synthetic", "part=0"], "part is the number of a file, but this data has none;"),
        ([GLOB, "part=2"], "part is 2 but the data has 2 files, numbered from 0; use a smaller"),
        ([GLOB, "part=-1"], "part is -1; use a whole number of 0 or more, or null."),
        ([GLOB, "+color=red"], "unknown setting 'color'; known: data, part, engine, n_jobs,"),
    ],
)
def test_prepare_refuses(dagrec: Dagrec, shards: Path, words: list[str], line: str) -> None:
    assert dagrec("data", "prepare", *words).refusal.startswith(f"dagrec data prepare: {line}")


def test_a_fault_names_its_file(dagrec: Dagrec, shards: Path) -> None:
    (shards / "1.jsonl").write_text('{"nodes": []}')
    for words in (["data", "prepare"], ["data", "describe", "data=compositions"]):
        answer = dagrec(*words, GLOB)
        assert answer.code == 2
        assert ": 1.jsonl: compositions[0] (line 1): no links among its keys (nodes)." in answer.err
