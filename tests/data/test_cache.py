"""Kept data sets: the same bytes, never out of date, never half written, never in the way."""

import errno
import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pooch
import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.config.where import config_dir
from dagrec_cli.data import cache
from dagrec_cli.data.cache import ARRAYS, cache_dir, cached_dataset, entry_of, keep, load_dataset
from dagrec_cli.data.dataset import Dataset, build_dataset
from dagrec_cli.data.readers.json_file import JsonFile
from dagrec_cli.data.synthetic import Synthetic

Config = Callable[..., DictConfig]

CHAIN = {
    "nodes": [{"id": 1}, {"id": 2, "mid": 7, "start_time": 3.5}, {"id": 3, "mid": 8}],
    "links": [{"source": 1, "target": 2}, {"source": 2, "target": 3}],
}
INTO_TABLE = {**CHAIN, "links": [{"source": 3, "target": 2}, {"source": 2, "target": 1}]}
LOOP = {**CHAIN, "links": [{"source": 2, "target": 3}, {"source": 3, "target": 2}]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept data sets, of any size."""
    monkeypatch.setenv("DAGREC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "WORTH_KEEPING", 1)
    return tmp_path / "cache" / "prepared"


@pytest.fixture
def source(tmp_path: Path, config: Config) -> JsonFile:
    file = tmp_path / "mine.jsonl"
    file.write_text("".join(f"{json.dumps(each)}\n" for each in [CHAIN, LOOP, INTO_TABLE, CHAIN]))
    found = build(config("data", "compositions", path=str(file), on_invalid="skip"), "data")
    assert isinstance(found, JsonFile)
    return found


def contents(dataset: Dataset) -> list[object]:
    arrays = [attrgetter(name)(dataset) for name in ARRAYS]
    words = dataset.vocabulary
    return [
        *((array.dtype, array.tobytes()) for array in arrays),
        *(words.nodes, words.is_service, words.services, dataset.sha256, dataset.skipped),
    ]


def refuse(*_: object) -> Any:
    raise AssertionError("the source was read")


def test_a_kept_data_set_is_the_prepared_one(
    source: JsonFile, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contents(build_dataset(source))
    assert contents(cached_dataset(source)) == expected
    monkeypatch.setattr(JsonFile, "read", refuse)
    kept = cached_dataset(source)
    assert contents(kept) == expected
    assert len(kept.skipped) == 1
    assert [entry.name[0] == "." for entry in folder.iterdir()] == [False]


def test_every_field_of_a_data_set_is_kept() -> None:
    kept = {name.partition(".")[0] for name in ARRAYS}
    words = {"vocabulary", "sha256", "context", "owners", "skipped", "dropped"}
    assert kept | words == set(Dataset.__dataclass_fields__)


def test_arrays_may_be_written_without_harm(source: JsonFile) -> None:
    cached_dataset(source)
    kept = cached_dataset(source)
    kept.start_time[:] = -1.0
    assert cached_dataset(source).start_time[0] == 3.5


def test_files_that_are_cut_later_do_no_harm(source: JsonFile, folder: Path) -> None:
    """A mapped file would end this process with a bus error."""
    expected = contents(cached_dataset(source))
    kept = cached_dataset(source)
    (entry,) = folder.iterdir()
    for file in entry.iterdir():
        os.truncate(file, 0)
    child = os.fork()
    if child == 0:
        os._exit(0 if contents(kept) == expected else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_without_the_cache_nothing_is_written_or_read(source: JsonFile, folder: Path) -> None:
    source.cache = False
    expected = contents(cached_dataset(source))
    assert not folder.exists()
    source.cache = True
    cached_dataset(source)
    source.cache = False
    (entry,) = folder.iterdir()
    (entry / "manifest.json").write_text("damaged")  # would be told
    assert contents(cached_dataset(source)) == expected


def test_small_data_sets_are_not_kept(
    source: JsonFile, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # three compositions of two steps, the last into a table in one of them: 3 + 5
    monkeypatch.setattr(cache, "WORTH_KEEPING", 9)
    cached_dataset(source)
    assert not folder.exists()
    monkeypatch.setattr(cache, "WORTH_KEEPING", 8)
    cached_dataset(source)
    assert len(list(folder.iterdir())) == 1


OTHER: dict[type, Callable[[Any], object]] = {
    type(None): lambda value: "x",
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value / 3 + 0.1,
    str: lambda value: "skip",
    dict: lambda value: {2: 1.0},
}
YAMLS = sorted(path.stem for path in (config_dir() / "data").glob("*.yaml"))


@pytest.mark.parametrize("option", YAMLS)
def test_every_setting_that_decides_the_data_decides_the_entry(config: Config, option: str) -> None:
    node = (
        config("data", option, path="p")
        if "path" in config("data", option)
        else config("data", option)
    )
    source = build(node, "data")
    entry = entry_of(source, "hash")
    assert entry_of(build(node, "data"), "hash") == entry != entry_of(source, "other hash")
    for name in map(str, node):
        if name in ("_target_", "download"):
            continue
        value = getattr(source, name)
        setattr(source, name, OTHER[type(value)](value))
        is_kept = name in ("path", "default_path", "cache")
        assert (entry_of(source, "hash") == entry) == is_kept, name
        setattr(source, name, value)


def test_other_code_has_other_entries(source: JsonFile, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = entry_of(source, "hash")
    monkeypatch.setattr(cache, "_code", lambda: "other")
    assert entry_of(source, "hash") != entry


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-1]),
    "changed": lambda file: file.write_bytes(file.read_bytes()[:-1] + b"?"),
    "empty": lambda file: file.write_bytes(b""),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
@pytest.mark.parametrize("name", ["manifest.json", "names.json", *(f"{a}.npy" for a in ARRAYS)])
def test_damage_is_told_in_one_line_and_mended(
    source: JsonFile,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    damage: Callable[[Path], object],
) -> None:
    expected = contents(cached_dataset(source))
    (entry,) = folder.iterdir()
    damage(entry / name)
    with caplog.at_level(logging.WARNING):
        assert contents(cached_dataset(source)) == expected
    (told,) = caplog.messages
    assert told.startswith(f"the data set kept in {entry} is damaged (")
    assert "\n" not in told
    caplog.clear()
    assert contents(cached_dataset(source)) == expected
    assert caplog.messages == []


@pytest.mark.parametrize("text", ["[]", "{}", '{"names.json": 3}', "\xff"])
def test_a_wrong_manifest_is_damage(
    source: JsonFile, folder: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    cached_dataset(source)
    (entry,) = folder.iterdir()
    (entry / "manifest.json").write_text(text, encoding="latin-1")
    assert load_dataset(entry) is None
    assert "is damaged" in caplog.text
    assert not entry.exists()


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_is_damage(source: JsonFile, folder: Path, bit: int) -> None:
    dataset = cached_dataset(source)
    (entry,) = folder.iterdir()
    for name in sorted(file.name for file in entry.iterdir()):
        content = (entry / name).read_bytes()
        for place in range(bit, len(content), max(1, len(content) // 5)):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            (entry / name).write_bytes(flipped)
            assert load_dataset(entry) is None, (name, place)
            assert not entry.exists()
            keep(dataset, entry, source)


def test_an_entry_that_cannot_be_read_is_left_alone(
    source: JsonFile, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    expected = contents(cached_dataset(source))
    (entry,) = folder.iterdir()
    before = {file.name: file.read_bytes() for file in entry.iterdir()}

    def refuse_to_open(path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patch:
        patch.setattr(cache, "read_plain", refuse_to_open)
        assert contents(cached_dataset(source)) == expected
    (told,) = caplog.messages
    assert told.startswith(f"cannot read the data set kept in {entry} (Too many open files)")
    assert {file.name: file.read_bytes() for file in entry.iterdir()} == before


def link(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("change", [link, pipe])
def test_only_plain_files_are_read(
    source: JsonFile, folder: Path, change: Callable[[Path], None]
) -> None:
    expected = contents(cached_dataset(source))
    (entry,) = folder.iterdir()
    change(entry / "start_time.npy")
    assert load_dataset(entry) is None
    assert contents(cached_dataset(source)) == expected


@pytest.mark.parametrize(
    ("mode", "of_folder", "of_file"),
    [
        (0o700, 0o700, 0o600),
        (0o755, 0o755, 0o644),
        (0o775, 0o775, 0o664),
        (0o1777, 0o755, 0o644),
    ],
)
def test_an_entry_is_for_all_who_may_enter_the_folder(
    source: JsonFile, folder: Path, mode: int, of_folder: int, of_file: int
) -> None:
    folder.mkdir(parents=True)
    folder.chmod(mode)
    before = os.umask(0o077)
    try:
        cached_dataset(source)
    finally:
        os.umask(before)
    (entry,) = folder.iterdir()
    assert entry.stat().st_mode & 0o7777 == of_folder
    assert {file.stat().st_mode & 0o7777 for file in entry.iterdir()} == {of_file}


def write_until_killed(dataset: Dataset, entry: Path, source: JsonFile) -> int:
    """Return the process of a writer that has begun and goes no further."""
    ready, begun = os.pipe()
    child = os.fork()
    if child == 0:

        def share(aside: Path) -> None:
            (aside / "start_time.npy").write_bytes(b"half")
            os.write(begun, b"!")
            time.sleep(60)

        with patch.object(cache, "share", share):
            keep(dataset, entry, source)
    os.close(begun)
    assert os.read(ready, 1) == b"!"
    os.close(ready)
    return child


def test_what_a_killed_writer_left_is_removed_by_the_next_one(
    source: JsonFile, folder: Path
) -> None:
    dataset = build_dataset(source)
    entry = entry_of(source, dataset.sha256)
    alive = write_until_killed(dataset, entry, source)
    killed = write_until_killed(dataset, entry, source)
    try:
        os.kill(killed, signal.SIGKILL)
        os.waitpid(killed, 0)
        keep(dataset, entry, source)
        assert len(list(folder.iterdir())) == 3  # one lives, so nothing is taken from it
    finally:
        os.kill(alive, signal.SIGKILL)
        os.waitpid(alive, 0)
    shutil.rmtree(entry)
    keep(dataset, entry, source)
    assert list(folder.iterdir()) == [entry]


def test_writers_at_once_leave_one_whole_entry(source: JsonFile, folder: Path) -> None:
    dataset = build_dataset(source)
    entry = entry_of(source, dataset.sha256)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: keep(dataset, entry, source), range(32)))
    kept = load_dataset(entry)
    assert kept is not None
    assert contents(kept) == contents(dataset)
    assert list(folder.iterdir()) == [entry]


def test_a_folder_that_cannot_be_written_is_told_in_one_line(
    source: JsonFile, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.write_text("a file")
    assert contents(cached_dataset(source)) == contents(build_dataset(source))
    (told,) = caplog.messages
    assert told.startswith(f"cannot keep the prepared data set in {folder} (")
    assert "DAGREC_CACHE_DIR" in told


def test_data_that_change_while_they_are_read_are_not_kept(
    source: JsonFile,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hashes = iter(["before", "after"])
    monkeypatch.setattr(JsonFile, "sha256", lambda _: next(hashes))
    assert cached_dataset(source).n_compositions == 3
    assert "changed while they were read" in caplog.text
    assert not folder.exists()


def test_synthetic_data_keep_their_law(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = contents(cached_dataset(build(config("data", "synthetic"), "data")))
    again = build(config("data", "synthetic"), "data")
    monkeypatch.setattr(Synthetic, "read", refuse)
    dataset = cached_dataset(again)
    assert contents(dataset) == expected
    context = (dataset.vocabulary.nodes[-1],)
    law = again.truth.probabilities([context], dataset.vocabulary.services)
    assert law.sum() == pytest.approx(1)


@pytest.mark.parametrize("home", ["", "  ", "relative", "/else where "])
def test_the_folder_is_pooch_s_own_unless_one_is_named(
    monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.delenv("DAGREC_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    assert cache_dir() == pooch.os_cache("dagrec")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == pooch.os_cache("dagrec")
    monkeypatch.setenv("DAGREC_CACHE_DIR", "~/here")
    assert cache_dir() == Path.home() / "here"
