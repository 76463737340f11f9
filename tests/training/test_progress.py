"""What the progress display leaves on the screen."""

import time

import pytest

from dagrec_cli.training.progress import progress, showing


def test_a_line_without_a_known_end_goes_when_it_is_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress(True) as display:
        display.start("reading", None)
        display.step(0)
        display.start("training", 2)
        display.step(2, "loss 0.5")
    told = capsys.readouterr().err
    assert "reading" not in told
    assert "training" in told
    assert "2/2" in told


def test_no_question_mark_stays_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(True) as display:
        display.start("files", None)
        display.step(3)
        display.say("merged")
    told = capsys.readouterr().err
    assert "?" not in told
    assert "merged" in told


def test_a_line_without_a_known_end_counts_and_says_how_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich then draws as on a terminal
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with showing("reading") as watch:
        watch(12_000)
        time.sleep(0.25)  # it is drawn ten times a second
    told = capsys.readouterr().err
    assert "12,000 0:00:00" in told
    assert "reading" not in told.rpartition("\x1b[2K")[2]  # the line is wiped


def test_each_seed_keeps_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(True) as display:
        for _ in range(2):
            display.start("training", 5)
            display.step(5)
    assert capsys.readouterr().err.count("5/5") >= 2
