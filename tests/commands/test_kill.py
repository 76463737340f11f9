"""SIGKILL at random moments of every long command: what it left is whole, and the rest follows.

The same command (``resume=`` for a training) goes on to the bytes of one that nobody killed, and
leaves no file that the other does not leave.
"""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

Dagrec = Callable[..., Any]

SMALL = ("model.hidden=8", "model.embedding_dim=8", "progress=false")
NETWORK = ("trainer.epochs=8", "trainer.checkpoint_every=1", "loss=bpr", "sampler.n_sample=4")
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", *SMALL, *NETWORK, "seeds=[0,1]", "hydra.run.dir=run"),
    "sweep": ("train", "-m", *SMALL, *NETWORK, "seed=0,1", "hydra.sweep.dir=sweep"),
    "reproduce": ("reproduce", "-cd", "own", "table=mine", "progress=false"),
    "search": (
        *("train", "-m", "hydra/sweeper=optuna", "trainer.validation_share=0.3"),
        *("model=popularity", "hydra.sweeper.study_name=mine", "hydra.sweeper.n_trials=3"),
        *("model.ranking=choice(one_hot,counts)", "progress=false"),
    ),
    "prepare": ("data", "prepare", "data=compositions", "data.path=shards/*.jsonl", "n_jobs=2"),
    "predict": ("predict", "input=contexts.jsonl", "output=next.jsonl", "overwrite=true"),
}
SAME = re.compile(r"predictions\.csv|model.*\.safetensors|next\.jsonl|learning_curve\.png|.*\.npy")
STAMP = re.compile(r"\d{4}-\d\d-\d\d_[\d-]+|[0-9a-f]{8,}")  # names that differ from run to run


def lay_out(folder: Path) -> None:
    """Write the files that the commands read."""
    network = ["model=gru4rec", "model.hidden=8", "trainer.epochs=8", "trainer.checkpoint_every=1"]
    rows = [
        {"name": "counts", "overrides": ["model=popularity"]},
        {"name": "network", "overrides": network},
    ]
    table = {"title": "Mine", "base": [], "seeds": [0, 1], "rows": rows}
    (folder / "own/table").mkdir(parents=True)
    (folder / "own/table/mine.yaml").write_text(yaml.dump(table))
    (folder / "shards").mkdir()
    for shard in range(4):
        lines = []
        for k in range(2_000):
            nodes = [{"id": 1}, {"id": 2, "mid": k % 7}, {"id": 3, "mid": (k + shard) % 5}]
            links = [{"source": 1, "target": 2}, {"source": 2, "target": 3}]
            lines.append(json.dumps({"nodes": nodes, "links": links}))
        (folder / f"shards/{shard}.jsonl").write_text("\n".join(lines))


def write_contexts(folder: Path, run: Path) -> None:
    lines = (run / "predictions.csv").read_text().splitlines()[1:]
    names = json.loads((run / "vocabulary.json").read_text())["nodes"]
    asked = [[names[k % len(names)]] for k in range(len(lines))]
    (folder / "contexts.jsonl").write_text("\n".join(map(json.dumps, asked)))


def killed_after(seconds: float, act: Callable[[], Any]) -> bool:
    """Act in a child process, kill it, and return whether that was before its end.

    No process that it started may be left ten seconds later.
    """
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        act()
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    until = time.monotonic() + 10
    while is_alive(child):
        assert time.monotonic() < until, "a process is left"
        time.sleep(0.05)
    return os.WIFSIGNALED(status)


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def names_in(folder: Path) -> set[str]:
    """Return all paths below a folder, with stamps and hashes blotted out."""
    found = {STAMP.sub("*", str(path.relative_to(folder))) for path in folder.rglob("*")}
    return {name for name in found if not name.startswith("cache/matplotlib")}


def results_in(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the files that must not depend on a kill."""
    return {
        STAMP.sub("*", str(path.relative_to(folder))): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if SAME.fullmatch(path.name)
    }


@pytest.fixture
def check_kills(
    tmp_path: Path, dagrec_in: Dagrec, trained: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, int], int]:
    """A function of a command and a number of kills: how many of them came before the end."""

    def in_folder(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        lay_out(folder)
        write_contexts(folder, trained.run)
        monkeypatch.setenv("DAGREC_CACHE_DIR", str(folder / "cache"))
        return folder

    def check(command: str, times: int) -> int:
        words = COMMANDS[command]
        if command == "predict":
            words = (*words, f"run={trained.run}")
        whole = in_folder("whole")
        start = time.perf_counter()
        answer = dagrec_in(whole, words)
        seconds = time.perf_counter() - start
        assert (answer.code, answer.err) == (0, "")
        random, n_killed = Random(times), 0
        for k in range(times):
            folder = in_folder(f"killed{k}")
            moment = seconds * (k + random.random()) / times
            n_killed += killed_after(moment, lambda: dagrec_in(folder, words))  # noqa: B023
            for name, content in results_in(folder).items():
                assert content == results_in(whole)[name], (command, moment, name)
            again = words
            if command == "train" and (folder / "run/config.yaml").exists():
                again = ("train", "resume=run")
            answer = dagrec_in(folder, again)
            assert (answer.code, answer.err) == (0, ""), (command, moment)
            assert results_in(folder) == results_in(whole), (command, moment)
            assert names_in(folder) - names_in(whole) == set(), (command, moment)
        return n_killed

    return check


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in ("reproduce", "search")))
        for name in COMMANDS
    ],
)
def test_killed_once(check_kills: Callable[[str, int], int], command: str) -> None:
    check_kills(command, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "times"),
    [("train", 15), ("sweep", 7), ("reproduce", 7), ("search", 7), ("prepare", 7), ("predict", 7)],
)
def test_killed_fifty_times(
    check_kills: Callable[[str, int], int], command: str, times: int
) -> None:
    assert check_kills(command, times) > times / 2  # or hardly anything was tried
