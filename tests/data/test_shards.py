"""Data sets prepared ahead: every engine writes the bytes that one go writes."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data import cache
from dagrec_cli.data.cache import cached_dataset, entry_of, load_dataset
from dagrec_cli.data.invalid import summarise
from dagrec_cli.data.shards import load_part, prepare_ahead, prepare_part
from dagrec_cli.errors import ConfigError, DataError

Config = Callable[..., DictConfig]
SourceOf = Callable[..., Any]


@pytest.fixture
def source_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Config) -> SourceOf:
    """A function of settings: three shards of different, branching and repeated compositions."""
    monkeypatch.setattr(cache, "WORTH_KEEPING", 1)
    for shard in range(3):
        lines = [json.dumps(composition(k % 7 + shard, k % 3)) for k in range(20)]
        (tmp_path / f"{shard}.jsonl").write_text("\n".join([*lines, '{"nodes": []}']))
    glob = str(tmp_path / "*.jsonl")

    def source(folder: str = "", **changes: object) -> Any:
        monkeypatch.setenv("DAGREC_CACHE_DIR", str(tmp_path / f"cache{folder}"))
        settings: dict[str, Any] = {"path": glob, "on_invalid": "skip", **changes}
        return build(config("data", "compositions", **settings), "data")

    return source


def composition(first: int, fork: int) -> dict[str, Any]:
    """A table, a service after it, and ``fork + 1`` more after that."""
    services = [{"id": k, "mid": first + k} for k in range(fork + 2)]
    links = [(first + 100, 0), *((0, k + 1) for k in range(fork + 1))]
    return {
        "nodes": [{"id": first + 100}, *services],
        "links": [{"source": a, "target": b} for a, b in links],
    }


def bytes_of(entry: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in entry.iterdir()}


def in_one_go(source_of: SourceOf) -> dict[str, bytes]:
    source = source_of("_one_go")
    dataset = cached_dataset(source)
    assert dataset.n_compositions == 60
    return bytes_of(entry_of(source, dataset.sha256))


def die(*arguments: Any) -> None:
    """Stands for a process that the system kills for its memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies(source_of: SourceOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagrec_cli.data.shards._collect_shard", die)
    with pytest.raises(DataError, match="one of 2 processes died"):
        prepare_ahead(source_of(), engine="processes", n_jobs=2, watch=lambda _: None)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_processes_write_what_one_go_writes(source_of: SourceOf, n_jobs: int) -> None:
    expected = in_one_go(source_of)
    done: list[int] = []
    source = source_of()
    dataset, entry = prepare_ahead(source, engine="processes", n_jobs=n_jobs, watch=done.append)
    assert bytes_of(entry) == expected
    assert len(expected) == 12
    assert done == [1, 2, 3]
    assert [str(each.faults[0].place) for each in dataset.skipped] == [
        f"{shard}.jsonl: compositions[20] (line 21)" for shard in range(3)
    ]
    assert entry == entry_of(source_of(), dataset.sha256)  # where training looks
    assert load_dataset(entry) is not None


def test_parts_prepared_apart_are_merged(
    source_of: SourceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on several machines: each file by a command of its own, in any order."""
    expected = in_one_go(source_of)
    folder = entry_of(source_of(), "").parent
    for number in (2, 0, 1):
        found, path = prepare_part(source_of(), number)
        assert (len(found.start_time), len(found.skipped)) == (20, 1)
        assert path.parent == folder
    assert len(list(folder.iterdir())) == 3
    with monkeypatch.context() as patch:
        patch.setattr("dagrec_cli.data.shards.collect", None)  # calling it would fail
        _, entry = prepare_ahead(source_of(), engine="processes", n_jobs=1, watch=lambda _: None)
    assert bytes_of(entry) == expected
    assert list(folder.iterdir()) == [entry]


def test_a_part_that_is_damaged_or_of_other_settings_is_made_anew(source_of: SourceOf) -> None:
    expected = in_one_go(source_of)
    _, path = prepare_part(source_of(), 0)
    node = path / "node.npy"
    node.write_bytes(node.read_bytes()[:-100])
    _, other = prepare_part(source_of(max_paths=1), 1)
    _, entry = prepare_ahead(source_of(), engine="processes", n_jobs=1, watch=lambda _: None)
    assert bytes_of(entry) == expected
    assert sorted(entry.parent.iterdir()) == sorted([entry, other])


def test_a_part_with_a_flipped_bit_is_none(source_of: SourceOf) -> None:
    _, path = prepare_part(source_of(), 0)
    whole, random = bytes_of(path), Random(0)
    for name, content in whole.items():
        for _ in range(20):
            flipped = bytearray(content)
            flipped[random.randrange(len(content))] ^= 1 << random.randrange(8)
            (path / name).write_bytes(flipped)
            assert load_part(path) is None
            path.mkdir()  # it was removed
            for other, its_content in whole.items():
                (path / other).write_bytes(its_content)
    assert load_part(path) is not None


def test_a_part_is_for_all_who_may_enter_the_folder(source_of: SourceOf) -> None:
    folder = entry_of(source_of(), "").parent
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    before = os.umask(0o077)
    try:
        _, path = prepare_part(source_of(), 0)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o755
    assert {file.stat().st_mode & 0o7777 for file in path.iterdir()} == {0o644}
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "told"), [(b"\n \n", "the file is empty"), (b"\x1f\x8b\x08", "broken gzip")]
)
def test_a_file_that_cannot_be_read_is_left_out_of_the_others(
    source_of: SourceOf, tmp_path: Path, content: bytes, told: str
) -> None:
    expected = in_one_go(source_of)
    (tmp_path / "1b.jsonl").write_bytes(content)
    dataset, entry = prepare_ahead(source_of(), engine="processes", n_jobs=1, watch=lambda _: None)
    found = bytes_of(entry)
    assert {name for name in found if found[name] != expected[name]} == {
        "manifest.json",
        "names.json",  # which has the hash of the files, and what was left out
    }
    assert f", 1 x {told}" in summarise(dataset.skipped)


def test_nothing_but_empty_files(source_of: SourceOf, tmp_path: Path) -> None:
    for shard in range(3):
        (tmp_path / f"{shard}.jsonl").write_text("")
    with pytest.raises(DataError, match=r"no composition to learn from"):
        prepare_ahead(source_of(), engine="processes", n_jobs=1, watch=lambda _: None)


@pytest.mark.parametrize(
    ("number", "changes", "message"),
    [
        (3, {}, "part is 3 but the data has 3 files, numbered from 0"),
        (0, {"cache": False}, "data.cache is false"),
    ],
)
def test_a_part_that_cannot_be_is_refused(
    source_of: SourceOf, number: int, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        prepare_part(source_of(**changes), number)


@pytest.mark.slow
def test_ray_writes_what_one_go_writes(
    source_of: SourceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    expected = in_one_go(source_of)
    _, entry = prepare_ahead(source_of(), engine="ray", n_jobs=1, watch=lambda _: None)
    assert bytes_of(entry) == expected
    with pytest.raises(
        DataError, match=r"^0\.jsonl: compositions\[20\] \(line 21\): no links among its keys"
    ):
        prepare_ahead(source_of(on_invalid="error"), engine="ray", n_jobs=1, watch=lambda _: None)
    assert not ray.is_initialized()


def test_what_is_kept_is_not_prepared_again(
    source_of: SourceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_ahead(source_of(), engine="processes", n_jobs=1, watch=lambda _: None)
    monkeypatch.setattr("dagrec_cli.data.shards.collect", None)  # calling it would fail
    dataset, _ = prepare_ahead(source_of(), engine="processes", n_jobs=1, watch=lambda _: None)
    assert dataset.n_compositions == 60


def test_a_fault_in_a_process_names_its_file(source_of: SourceOf) -> None:
    source = source_of(on_invalid="error")
    with pytest.raises(
        DataError, match=r"^0\.jsonl: compositions\[20\] \(line 21\): no links among its keys"
    ):
        prepare_ahead(source, engine="processes", n_jobs=2, watch=lambda _: None)


def test_a_source_without_files_is_one_part(source_of: SourceOf, config: Config) -> None:
    source_of()
    source = build(config("data", "synthetic"), "data")
    dataset, entry = prepare_ahead(source, engine="processes", n_jobs=2, watch=lambda _: None)
    assert dataset.n_compositions == 943
    assert load_dataset(entry) is not None


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        ({}, {"cache": False}, "data.cache is false"),
        ({"engine": "ray"}, {}, r"pip install .* '\.\[ray\]'"),
    ],
)
def test_what_cannot_be_done_is_refused(
    source_of: SourceOf,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    changes: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails
    given: dict[str, Any] = {"engine": "processes", "n_jobs": 1, **settings}
    with pytest.raises(ConfigError, match=message):
        prepare_ahead(source_of(**changes), watch=lambda _: None, **given)
