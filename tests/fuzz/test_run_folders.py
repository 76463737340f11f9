"""Damaged and hostile run folders: one line, nothing read or written outside, no other row lost."""

import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

SHORT = ("trainer.epochs=1", "data.compositions=60", "progress=false")
KINDS = {  # of runs that are damaged
    "network": ("model.hidden=4", "model.embedding_dim=4", "trainer.validation_share=0.2"),
    "counts": ("model=backoff", "data=synthetic_galaxy", "split=composition"),
}
SECRET = "a line of the user's profile\n"
VALUES = (
    *(None, True, False, 0, -1, 1.5, 10**30, -(10**30), float("nan"), float("inf"), ""),
    *("x", "x" * 5000, "\x1b[31mred", "a\nb", "../..", "/dev/zero", "${oc.env:HOME}", "${seed}"),
    *([], {}, [[]], [1, "a"], {"a": 1}, {"_target_": "os.system"}),
    *({"_target_": "dagrec_cli.data.files.Path"}, {"_target_": "dagrec_cli.models.gru4rec.nn"}),
)
COMMANDS = (
    ("predict", "run={run}", "context=[{node}]", "why=true"),
    ("predict", "run={run}", "input=contexts.jsonl", "output=next.jsonl", "overwrite=true"),
    ("evaluate", "run={run}", "hydra.run.dir=evaluated", "overwrite=true"),
    ("export", "run={run}", "output=model.onnx", "overwrite=true"),
    ("train", "resume={run}", "progress=false"),
    ("compare", "runs=[sound,{run}]"),
)
WORK = ("compositions", "epochs", "n_sample", "seeds")  # large values are real work


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, fuzz: Any) -> Path:
    """A sound run, and one of each kind to be damaged."""
    folder = tmp_path_factory.mktemp("runs")
    with chdir(folder):
        for kind, words in {"sound": ("model=popularity",), **KINDS}.items():
            code, _, err = fuzz.run_main("train", *SHORT, *words, f"hydra.run.dir={kind}")
            assert code == 0, err
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


def check_json(lines: str) -> None:
    """Raise ValueError if a line is none of JSON, which has no NaN and nothing infinite."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} in {lines[:1000]}")

    for line in lines.splitlines():
        json.loads(line, parse_constant=refuse)


def check_damaged_runs(
    fuzz: Any, folders: Path, folder: Path, numbers: range, *, n_commands: int
) -> None:
    """Damage a run for each number and give it to so many commands, which are drawn."""
    outside = folder / "profile"
    shutil.copytree(folders / "sound", folder / "sound")
    codes = []
    for number, random in ((number, Random(number)) for number in numbers):
        kind = random.choice([*KINDS])
        shutil.copytree(folders / kind, folder / "damaged")
        names = json.loads((folders / kind / "vocabulary.json").read_text())["nodes"]
        (folder / "contexts.jsonl").write_text("".join(f"{json.dumps([n])}\n" for n in names))
        outside.write_text(SECRET)
        what = damage(folder / "damaged", outside, fuzz, random)
        for command in random.sample(COMMANDS, n_commands):
            words = [word.format(run="damaged", node=json.dumps(names[0])) for word in command]
            codes.append(check_command(fuzz, folder, words, number, kind, what))
        shutil.rmtree(folder / "damaged")
    assert len(codes) / 5 < codes.count(2)  # or nothing that matters was damaged


def check_command(fuzz: Any, folder: Path, words: Sequence[str], *about: object) -> int:
    """Run a command on a damaged run, hold what came of it against the rules, return its code."""
    before = {path.name for path in folder.iterdir()}
    with chdir(folder), limited():
        code, out, err = fuzz.run_main(*words)
    about = (*about, words, out, err)
    assert code in (0, 1, 2), about
    assert "Traceback" not in err, about
    assert "\x1b[31m" not in out + err, about
    assert SECRET.strip() not in out + err, about
    assert (folder / "profile").read_text() == SECRET, about
    if words[0] == "compare":
        assert "popularity" in out, about  # the sound run is a row, whatever the other is
    else:
        assert err.count("\n") == bool(code), about
    if code == 2 and words[0] != "train":
        assert {path.name for path in folder.iterdir()} <= before, about
    hidden = [path for path in folder.rglob(".*") if path.name != ".lock"]
    assert not hidden, about
    if words[0] == "predict":
        check_json(out)
    if (answers := folder / "next.jsonl").exists():
        check_json(answers.read_text())
        answers.unlink()
    (folder / "model.onnx").unlink(missing_ok=True)
    shutil.rmtree(folder / "evaluated", ignore_errors=True)
    return code


def test_twenty_damaged_run_folders(fuzz: Any, folders: Path, tmp_path: Path) -> None:
    check_damaged_runs(fuzz, folders, tmp_path, range(20), n_commands=1)


@pytest.mark.slow
def test_three_hundred_damaged_run_folders(fuzz: Any, folders: Path, tmp_path: Path) -> None:
    check_damaged_runs(fuzz, folders, tmp_path, range(1_000, 1_300), n_commands=2)
