"""Wrong settings on the command line: one line, exit code 2, nothing left behind."""

import os
from contextlib import chdir
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from dagrec_cli.config.where import config_dir

VALUES = (
    *("1", "0", "-1", "1.5", "nan", "inf", "-inf", "1e400", "1e308", "9" * 20, "9" * 5000, "null"),
    *("true", "false", "''", "abc", "[]", "[1]", "[[1]]", "{}", "{a:1}", "${seed}", "${nosuch}"),
    *("${oc.env:NOSUCH}", "${", "${a:b:c}", "é☃", "'", '"', "[", "{", "[1,", "[nan]", "[null]"),
    *("a,b", "1,2", "??", "???", "a=b", "::", "/dev/null", "**", "~root", " ", "a b", "\t"),
    *("x" * 300, "[" * 200 + "]" * 200, "a\nb", "choice(1,2)", "range(1,3)", "glob(*)", "int(3)"),
)
QUICK = {
    "train": ["trainer.epochs=1", "progress=false", "model=popularity"],
    "data describe": [],
    "data validate": ["data.path=nowhere.json"],
    "evaluate": ["run=nowhere"],
    "predict": ["run=nowhere", "context=[table_1]"],
    "compare": ["runs=[nowhere]"],
}
LONG = ("compositions", "epochs", "dir")  # they may mean real work

WRONG = {  # all of them ended in a traceback once
    "data validate data.path=[nan]": "nan: no such file; give an existing one",
    "data validate data.path={a:1}": "data.path is {'a': 1}; use text, or a list of text, or null.",
    "data validate data=[true]": "a group takes the name of one of its options",
    "data describe split=[1,2]": "a group takes the name of one of its options",
    "data describe hydra.verbose=null": "Hydra cannot take one of the settings (configure_log:",
    "data describe hydra.verbose=${a:b:c}": "hydra.verbose: Unsupported interpolation type a.",
    "data describe ++data.lengths.4=1": "use a mapping from a whole number to a number.",
    f"data describe split.test_share={'[' * 200}{']' * 200}": "nested too deeply",
    f"data describe data.seed={'9' * 5000}": "Exceeds the limit",
    "compare runs=1e308": "1e308: no such folder; name run folders",
    "compare runs=[a] by={a:3}": "by is {'a': 3}; use text, or a list of text, or null.",
    "train model.embedding_dim=99999999999999": "not enough memory for these sizes",
    "predict run=a\nb context=[x]": r"cannot read 'run=a\nb'; write it without line breaks",
}


@pytest.mark.parametrize("line", WRONG, ids=[line[:40] for line in WRONG])
def test_a_wrong_setting_is_one_line(fuzz: Any, tmp_path: Path, line: str) -> None:
    with chdir(tmp_path):
        answer = fuzz.run_main(*line.split(" "))
    fuzz.check_told(answer, line)
    assert (answer[0], answer[1]) == (2, "")
    assert WRONG[line] in answer[2]
    assert list(tmp_path.iterdir()) == []


def keys_of(command: str) -> list[str]:
    """Return the keys of a command's config, dotted, without those that may mean real work."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose(command.replace(" ", "_"))
    keys: list[str] = []
    stack: list[tuple[str, Any]] = [("", config)]
    while stack:
        prefix, node = stack.pop()
        keys += [prefix] if prefix else []
        if isinstance(node, DictConfig):
            below = [(f"{prefix}.{key!s}".strip("."), node._get_node(key)) for key in node]
            stack += [pair for pair in below if not pair[0].endswith(LONG)]
    return keys


def check_command_lines(fuzz: Any, folder: Path, seed: int, times: int) -> list[int]:
    """Run command lines with one wrong or odd setting each, and return their exit codes."""
    random = Random(seed)
    keys = {command: keys_of(command) for command in QUICK}
    codes = []
    for number in range(times):
        command = random.choice(list(QUICK))
        sign = random.choice(("", "", "", "+", "++", "~"))
        key = random.choice([*keys[command], "nosuch", "a.b", "model", "data", "hydra/help"])
        word = f"{sign}{key}={random.choice(VALUES)}"
        before = sorted(folder.iterdir())
        with chdir(folder):
            answer = fuzz.run_main(*command.split(), *QUICK[command], word)
        fuzz.check_told(answer, number, command, word)
        codes.append(answer[0])
        if answer[0] == 2:
            assert sorted(folder.iterdir()) == before, (number, command, word)
    return codes


def test_forty_command_lines(fuzz: Any, tmp_path: Path) -> None:
    assert 2 in check_command_lines(fuzz, tmp_path, seed=1, times=40)


@pytest.mark.slow
def test_four_hundred_command_lines(fuzz: Any, tmp_path: Path) -> None:
    codes = check_command_lines(fuzz, tmp_path, seed=2, times=400)
    assert 0 < codes.count(0) < 200


@pytest.mark.slow
def test_five_hundred_questions(fuzz: Any, tmp_path: Path) -> None:
    """Damaged files of contexts and compositions for ``dagrec predict``."""
    with chdir(tmp_path):
        short = ["trainer.epochs=1", "model.hidden=8", "hydra.run.dir=run"]
        assert fuzz.run_main("train", *short)[0] == 0
        sound = {
            "composition=mine.json": fuzz.SYNTHETIC["one.json"].encode(),
            "input=mine.jsonl": b'["table_1"]\n{"context": ["table_2", "service_1"]}\n' * 2,
        }
        for number in range(500):
            random = Random(number)
            word = random.choice(list(sound))
            Path(word.partition("=")[2]).write_bytes(fuzz.damaged(sound[word], random))
            fuzz.check_told(fuzz.run_main("predict", "run=run", word), number, word)
    assert os.listdir(tmp_path / "run")
