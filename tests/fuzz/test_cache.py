"""Flipped bits of what is kept: noticed, never used, made anew."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dagrec_cli.config.build import build
from dagrec_cli.data.cache import ARRAYS
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.shards import prepare_ahead, prepare_part

Config = Any


def write_shards(folder: Path) -> None:
    for shard in range(2):
        lines = []
        for k in range(30):
            nodes = [{"id": f"t{k}"}, {"id": 2, "mid": k % 7}, {"id": 3, "mid": (k + shard) % 5}]
            links = [{"source": f"t{k}", "target": 2}, {"source": 2, "target": 3}]
            lines.append(json.dumps({"nodes": nodes, "links": links}))
        (folder / f"{shard}.jsonl").write_text("\n".join(lines))


def all_of(dataset: Dataset) -> list[Any]:
    """Return everything that a data set holds, to be compared."""
    found = []
    for name in ARRAYS:
        value: Any = dataset
        for part in name.split("."):
            value = getattr(value, part)
        found.append((value.dtype, value.tobytes()))
    return [*found, dataset.vocabulary, dataset.sha256, dataset.skipped]


def flipped(content: bytes, random: Random) -> bytes:
    """Return the bytes with one bit flipped, or cut short."""
    if random.random() < 0.1:
        return content[: random.randrange(len(content))]
    damaged = bytearray(content)
    damaged[random.randrange(len(content))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, kept in files.items():
        (folder / name).write_bytes(kept)


def damage(folder: Path, files: dict[str, bytes], random: Random) -> None:
    """Flip a bit of one of a folder's files."""
    name = random.choice(sorted(files))
    (folder / name).write_bytes(flipped(files[name], random))


def check_flips(
    config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: Iterable[int]
) -> None:
    """Flip a bit of a kept data set or of a kept part; the data set is the same all the same."""
    monkeypatch.setenv("DAGREC_CACHE_DIR", str(folder / "cache"))
    write_shards(folder)
    source = build(config("data", "compositions", path=str(folder / "*.jsonl")), "data")
    dataset, entry = prepare_ahead(source, engine="processes", n_jobs=1, watch=lambda n: None)
    expected = all_of(dataset)
    whole = content(entry)
    _, part = prepare_part(source, 0)
    whole_part = content(part)
    for number in numbers:
        random = Random(number)
        if random.random() < 0.5:
            damage(entry, whole, random)
        else:
            shutil.rmtree(entry)
            write(part, whole_part)
            damage(part, whole_part, random)
        found, _ = prepare_ahead(source, engine="processes", n_jobs=1, watch=lambda n: None)
        assert all_of(found) == expected, number
        assert content(entry) == whole, number
        left = sorted(path.name for path in entry.parent.iterdir())
        assert left == [entry.name], number


def test_a_hundred_flips(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_flips(config, tmp_path, monkeypatch, range(100))


@pytest.mark.slow
def test_six_thousand_flips(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_flips(config, tmp_path, monkeypatch, range(1_000, 7_000))
