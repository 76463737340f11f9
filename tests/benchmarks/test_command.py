"""``dagrec bench`` at the keyboard: exit codes, messages, the run folder."""

import json
import sys
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

import pytest
from hydra.core.global_hydra import GlobalHydra

from benchmarks.evaluation import Evaluation
from dagrec_cli.cli import main

SHORT = ("bench=evaluation", "sizes=[20,40]", "repeats=3")


def dagrec_bench(folder: Path, *words: str) -> int:
    GlobalHydra.instance().clear()
    with chdir(folder), patch.object(sys, "argv", ["dagrec", "bench", *words]):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def test_small_run_keeps_its_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dagrec_bench(tmp_path, *SHORT) == 0
    (folder,) = tmp_path.glob("outputs/bench/*")
    found = json.loads((folder / "bench.json").read_text())["benchmarks"]["evaluation"]
    assert [each["size"] for each in found["sizes"]] == [20, 40]
    assert [len(each["plain"]["seconds"]) for each in found["sizes"]] == [3, 3]
    assert folder.name in capsys.readouterr().out


def test_missed_promise_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evaluation, "sizes", (40,))
    monkeypatch.setattr(Evaluation, "target", 1e9)
    assert dagrec_bench(tmp_path, *SHORT) == 1
    message = capsys.readouterr().err
    assert "dagrec bench: evaluation at 40 pairs: " in message
    assert "times faster, 1e+09 promised" in message
    assert list(tmp_path.glob("outputs/bench/*/bench.json"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bench=evaluatoin"], "did you mean evaluation?"),
        (["repeats=2"], "repeats is 2; use a whole number of 3 or more"),
        (["sizes=[0]"], "sizes is [0]; use a list of whole numbers of 1 or more"),
        (["threads=0"], "threads is 0; use a whole number of 1 or more"),
        (["bench=preparation", "data.path=nowhere.json"], "nowhere.json"),
        (["+repeat=5"], "did you mean repeats?"),
    ],
)
def test_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert dagrec_bench(tmp_path, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "outputs").exists()


def test_installed_package_says_where_the_benchmarks_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagrec_cli.commands.bench.config_dir", lambda: tmp_path / "configs")
    for words in ((), ("--help",), SHORT):
        assert dagrec_bench(tmp_path, *words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("dagrec bench: the benchmarks come with the source")
        assert list(tmp_path.iterdir()) == []
