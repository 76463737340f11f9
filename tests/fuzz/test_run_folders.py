"""Damaged and hostile run folders: one line, nothing read or written outside, no other row lost."""

import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

SHORT = ("trainer.epochs=1", "data.compositions=60", "progress=false")
SMALL = ("model.hidden=4", "model.embedding_dim=4")
SECRET = "a line of the user's profile\n"
VALUES = (
    *(None, True, False, 0, -1, 1.5, 10**30, -(10**30), float("nan"), float("inf"), ""),
    *("x", "x" * 5000, "\x1b[31mred", "a\nb", "../..", "/dev/zero", "${oc.env:HOME}", "${seed}"),
    *([], {}, [[]], [1, "a"], {"a": 1}, {"_target_": "os.system"}),
    *({"_target_": "dagrec_cli.data.files.Path"}, {"_target_": "dagrec_cli.models.gru4rec.nn"}),
)
COMMANDS = (
    ("predict", "run={}", "context=[table_1]"),
    ("predict", "run={}", "input=contexts.jsonl", "output=next.jsonl"),
    ("evaluate", "run={}", "hydra.run.dir=evaluated"),
    ("export", "run={}", "output=model.onnx"),
    ("train", "resume={}", "progress=false"),
    ("compare", "runs=[sound,{}]"),
)
WORK = ("compositions", "epochs", "n_sample", "seeds")  # large values are real work


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, fuzz: Any) -> Path:
    """A sound run of a counting model, and one of a network to be damaged."""
    folder = tmp_path_factory.mktemp("runs")
    with chdir(folder):
        counts = fuzz.run_main("train", *SHORT, "model=popularity", "hydra.run.dir=sound")
        network = fuzz.run_main("train", *SHORT, *SMALL, "hydra.run.dir=network")
    assert (counts[0], network[0]) == (0, 0), counts[2] + network[2]
    return folder


def places_in(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything inside a JSON value."""
    pairs = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in pairs if isinstance(node, (dict, list)) else ():
        found.append((*path, key))
        if isinstance(value, (dict, list)):
            found += places_in(value, (*path, key))
    return found


def changed(tree: Any, random: Random) -> Any:
    """Return a JSON value with one to three places set to something else, or removed."""
    for _ in range(random.randint(1, 3)):
        places = [p for p in places_in(tree) if not any(key in WORK for key in p)]
        if not places:
            return random.choice(VALUES)
        *path, last = random.choice(places)
        node = tree
        for key in path:
            node = node[key]
        if random.random() < 0.2:
            del node[last]
        else:
            node[last] = random.choice(VALUES)
    return tree


INSTEAD: dict[str, Callable[[Path, Path], object]] = {  # of a file, given one outside
    "gone": lambda file, _: None,
    "empty": lambda file, _: file.touch(),
    "folder": lambda file, _: file.mkdir(),
    "fifo": lambda file, _: os.mkfifo(file),
    "link": lambda file, outside: file.symlink_to(outside),
    "hard link": lambda file, outside: file.hardlink_to(outside),
    "loop": lambda file, _: file.symlink_to(file.name),
    "device": lambda file, _: file.symlink_to("/dev/zero"),
}


def damage(run: Path, outside: Path, fuzz: Any, random: Random) -> str:
    """Damage a run folder in one way, and return which."""
    files = sorted(path for path in run.rglob("*") if path.is_file())
    file = random.choice(files)
    kind = random.choice(("change",) * 6 + ("bytes",) * 3 + ("file",) * 2)
    content = file.read_bytes()
    if kind == "change" and file.suffix in (".json", ".yaml"):
        load = json.loads if file.suffix == ".json" else yaml.safe_load
        dump: Callable[..., str] = json.dumps if file.suffix == ".json" else yaml.safe_dump
        file.write_text(dump(changed(load(content), random)))
    elif kind != "file":
        file.write_bytes(fuzz.damaged(content, random))
    else:
        kind = random.choice(list(INSTEAD))
        file.unlink()
        INSTEAD[kind](file, outside)
    return f"{file.relative_to(run)}: {kind}"


@contextmanager
def limited() -> Iterator[None]:
    """Take at most one gibibyte above what the process has mapped: a device may never end."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 2**30, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def check_damaged_runs(fuzz: Any, folders: Path, folder: Path, numbers: range) -> None:
    outside = folder / "profile"
    shutil.copytree(folders / "sound", folder / "sound")
    (folder / "contexts.jsonl").write_text('["table_1"]\n["table_2"]\n')
    codes = []
    for number in numbers:
        random = Random(number)
        run = folder / "damaged"
        shutil.copytree(folders / "network", run)
        outside.write_text(SECRET)
        before = {path.name for path in folder.iterdir()}
        what = damage(run, outside, fuzz, random)
        words = [word.format("damaged") for word in random.choice(COMMANDS)]
        with chdir(folder), limited():
            code, out, err = fuzz.run_main(*words)
        about = (number, what, words, out, err)
        assert code in (0, 1, 2), about
        assert "Traceback" not in err, about
        assert "\x1b[31m" not in out + err, about
        assert SECRET.strip() not in out + err, about
        assert outside.read_text() == SECRET, about
        if words[0] == "compare":
            assert "popularity" in out, about  # the sound run is a row, whatever the other is
        elif code:
            assert err.count("\n") == 1, about
        if code == 2 and words[0] != "train":
            assert {path.name for path in folder.iterdir()} <= before, about
        hidden = [path for path in folder.rglob(".*") if path.name != ".lock"]
        assert not hidden, about
        codes.append(code)
        for name in ("damaged", "evaluated"):
            shutil.rmtree(folder / name, ignore_errors=True)
        for name in ("next.jsonl", "model.onnx"):
            (folder / name).unlink(missing_ok=True)
    assert len(numbers) / 5 < codes.count(2)  # or nothing that matters was damaged


def test_thirty_damaged_run_folders(fuzz: Any, folders: Path, tmp_path: Path) -> None:
    check_damaged_runs(fuzz, folders, tmp_path, range(30))


@pytest.mark.slow
def test_three_hundred_damaged_run_folders(fuzz: Any, folders: Path, tmp_path: Path) -> None:
    check_damaged_runs(fuzz, folders, tmp_path, range(1_000, 1_300))
