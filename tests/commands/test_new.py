"""``dagrec new`` and ``dagrec check``: something of one's own, and what it promises."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Dagrec = Callable[..., Any]

FILES = {
    "model": ["m1.py", "model/m1.yaml", "test_m1.py"],
    "loss": ["l1.py", "loss/l1.yaml", "test_l1.py"],
    "sampler": ["s1.py", "sampler/s1.yaml", "test_s1.py"],
    "reader": ["r1.py", "data/r1.yaml", "data/r1.txt", "test_r1.py"],
    "table": ["table/t1.yaml"],
}


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forget what is imported from the folder of a test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for kind in FILES:
        sys.modules.pop(f"{kind[0]}1", None)


def begin_all(dagrec: Dagrec) -> list[list[str]]:
    """Begin one of each kind; return the commands that are named to go on with."""
    commands = []
    for kind, files in FILES.items():
        answer = dagrec("new", kind, f"{kind[0]}1")
        assert (answer.code, answer.err) == (0, "")
        *said, last = answer.out.splitlines()
        assert said == [*(f"Wrote mine/{file}" for file in files), "Next: dagrec check mine"]
        commands.append(last.removeprefix("Next: dagrec ").split())
    return commands


def test_what_is_begun_keeps_every_promise(dagrec: Dagrec, tmp_path: Path) -> None:
    begin_all(dagrec)
    answer = dagrec("check", "mine")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.splitlines()[-1] == "26 kept."
    table = (tmp_path / "mine/table/t1.yaml").read_text()
    assert table.endswith("- {name: m1, overrides: [model=m1]}\n")


def test_any_folder_will_do(dagrec: Dagrec, tmp_path: Path) -> None:
    """No name of a folder is read as code or as several words."""
    folder = '\\x a""" b'
    answer = dagrec("new", "loss", "own_loss", f"folder={folder}")
    assert answer.out.splitlines()[-2] == f"Next: dagrec check '{folder}'"
    codes = list((tmp_path / folder).rglob("*.py"))
    assert len(codes) == 2
    for file in codes:
        compile(file.read_text(), file.name, "exec")


@pytest.mark.slow
def test_what_is_begun_runs(dagrec: Dagrec, tmp_path: Path) -> None:
    *trainings, table = begin_all(dagrec)
    yaml = tmp_path / "mine/model/m1.yaml"
    lines = yaml.read_text().splitlines(keepends=True)  # as if written before there were owners
    yaml.write_text("".join(line for line in lines if not line.startswith("owner")))
    assert "owner" not in yaml.read_text()
    for words in trainings:
        answer = dagrec(*words)
        assert (answer.code, answer.err) == (0, ""), words
    of_model = answer.runs[0]
    assert dagrec("predict", "-cd", "mine", f"run={of_model}", "context=[service_1]").code == 0
    answer = dagrec(*table)
    assert answer.code == 0
    assert answer.out.count("m1") >= 2


def test_the_written_test_passes_until_a_promise_is_broken(dagrec: Dagrec, tmp_path: Path) -> None:
    dagrec("new", "loss", "l1")
    file, code = tmp_path / "mine/test_l1.py", tmp_path / "mine/l1.py"
    exec(compile(file.read_text(), file, "exec"), scope := {"__file__": str(file)})
    scope["test_it_keeps_what_every_loss_promises"]()
    # of another length: Python tells bytes of one second and one length apart by nothing
    code.write_text(code.read_text().replace('"none"', '"sum"'))
    sys.modules.pop("l1")
    with pytest.raises(AssertionError):
        scope["test_it_keeps_what_every_loss_promises"]()


def test_nothing_is_overwritten(dagrec: Dagrec, tmp_path: Path) -> None:
    dagrec("new", "model", "m1")
    (tmp_path / "mine/m1.py").unlink()
    (tmp_path / "mine/test_m1.py").write_text("mine")
    assert "mine/model/m1.yaml is there already, and stays" in dagrec("new", "model", "m1").refusal
    assert not (tmp_path / "mine/m1.py").exists()
    (tmp_path / "mine/model/m1.yaml").unlink()
    (tmp_path / "mine/test_m1.py").unlink()
    (tmp_path / "mine/test_m1.py").symlink_to(tmp_path / "elsewhere")
    assert dagrec("new", "model", "m1").code == 2
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["modle", "a"], "'modle' is nothing to begin; did you mean model? begin one of "),
        (["model"], "0 names for one model; write dagrec new model NAME"),
        (["model", "a", "b"], "2 names for one model"),
        (["model", "My-Model"], "'My-Model' is no name for a file of Python"),
        (["table", "class"], "'class' is no name for a file of Python"),
        (["table", "null"], "'null' is no name for a file of Python"),
        (["model", "gru4rec"], "there is a built-in model=gru4rec; take another name, such as my_"),
        (["reader", "edges"], "there is a built-in data=edges"),
        (["loss", "json"], "Python has a module 'json' already"),
    ],
)
def test_a_wrong_beginning_is_one_line(
    dagrec: Dagrec, tmp_path: Path, words: list[str], said: str
) -> None:
    assert said in dagrec("new", *words).refusal
    assert list(tmp_path.iterdir()) == []


def test_a_broken_promise_is_told_with_its_place_and_remedy(dagrec: Dagrec, tmp_path: Path) -> None:
    dagrec("new", "loss", "l1")
    code = tmp_path / "mine/l1.py"
    whole = code.read_text()
    code.write_text(whole.replace('"none"', '"mean"'))
    answer = dagrec("check", "mine", "loss=l1")
    assert (answer.code, answer.err) == (1, "")
    lines = answer.out.splitlines()
    assert lines[0] == "loss=l1"
    at = lines.index("  BROKEN  Give a loss for each row, of that row alone. (has_a_loss_per_row)")
    assert lines[at + 1] == "          seen: a loss of shape [] instead of [8]"
    assert lines[at + 2].startswith("            do: Return a vector, one number per row")
    sys.modules.pop("l1")
    code.write_text(whole.replace("return cross", "1 / 0; return cross"))
    answer = dagrec("check", "mine")
    assert answer.code == 1
    assert "seen: ZeroDivisionError: division by zero (mine/l1.py line 26)" in answer.out


def test_what_breaks_a_promise_on_purpose_says_why(dagrec: Dagrec, tmp_path: Path) -> None:
    dagrec("new", "loss", "l1")
    code = tmp_path / "mine/l1.py"
    why = 'exempt = {"raises_the_target": "it is a joke"}\n\n    def __init__'
    code.write_text(code.read_text().replace("def __init__", why).replace("n cross", "n -cross"))
    answer = dagrec("check", "mine")
    assert "  exempt  Raise the target's score, by a step down the gradient." in answer.out
    assert "           why: it is a joke" in answer.out
    sys.modules.pop("l1")
    code.write_text(code.read_text().replace("raises_the", "rises_the"))
    answer = dagrec("check", "mine")
    assert answer.code == 2
    assert "loss=l1: exempt has 'rises_the_target'; its promises are has_a_loss" in answer.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "no such folder; dagrec new model NAME makes one."),
        (["."], "holds no option, such as "),
        (["model=mean"], "'model=mean' is no folder; write dagrec check FOLDER"),
        (["mine", "model=m2"], "has no 'model=m2'; did you mean model=m1? it has model=m1"),
    ],
)
def test_a_wrong_check_is_one_line(dagrec: Dagrec, words: list[str], said: str) -> None:
    if words[0] == "mine":
        dagrec("new", "model", "m1")
    assert said in dagrec("check", *words).refusal


@pytest.mark.parametrize("command", ["new", "check"])
def test_they_say_how_they_are_used(dagrec: Dagrec, command: str) -> None:
    for words in ([command], [command, "--help"], ["help", command]):
        answer = dagrec(*words)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.startswith(f"Usage: dagrec {command} ")


def test_a_broken_yaml_and_a_broken_row_are_told(dagrec: Dagrec, tmp_path: Path) -> None:
    dagrec("new", "model", "m1")
    dagrec("new", "table", "t1")
    yaml = tmp_path / "mine/model/m1.yaml"
    yaml.write_text(yaml.read_text().replace("hidden: 64", "hidden: 0"))
    words = "[data=compositions, data.path=nowhere.jsonl, model=markov]"
    (tmp_path / "mine/table/t2.yaml").write_text(f"rows: [{{name: a, overrides: {words}}}]")
    answer = dagrec("check", "mine")
    assert answer.code == 1
    assert "seen: row 'a': nowhere.jsonl: no such file" in answer.out
    assert "seen: model.hidden is 0; use a whole number of 1 or more." in answer.out
    assert "seen: row 'm1': model.hidden is 0; use" in answer.out
    assert answer.out.splitlines()[-1] == "3 BROKEN."
