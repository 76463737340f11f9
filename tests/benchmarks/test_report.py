"""What lies in the run folder, and what the command answers."""

import json
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.report import Finding, draw, faults, write
from benchmarks.runner import Measurement, Runs
from dagrec_cli.runs.folder import RunFolder


def finding() -> Finding:
    """Plain is linear, fast takes the same at both sizes."""
    return Finding(
        "pairs",
        [
            Measurement(10, None, Runs([0.4, 0.4, 0.4]), Runs([0.1, 0.1, 0.1], 2**20)),
            Measurement(100, 50, Runs([4.0, 4.0, 5.0]), Runs([0.1, 0.1, 0.1])),
            Measurement(1000, 50, mismatch="loss: off"),
        ],
    )


def test_files(tmp_path: Path) -> None:
    write(RunFolder(tmp_path), {"toy": finding()}, ["bench=toy"])
    left = {file.name for file in tmp_path.iterdir()}
    assert left >= {"bench.json", "bench.png", "table.csv", "table.json", "table.md"}
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["status"] == "failed"
    assert found["command_line"] == "dagrec bench bench=toy"
    toy = found["benchmarks"]["toy"]
    assert round(toy["growth"]["plain"], 9) == 1
    assert round(toy["growth"]["fast"], 9) == 0
    assert [each["ratio"] for each in toy["sizes"]] == [4, 40, None]
    assert toy["sizes"][0]["fast"]["peak_bytes"] == 2**20
    header, first, second, third = (tmp_path / "table.csv").read_text().splitlines()
    columns = header.split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in (first, second)]
    assert [row["ratio"] for row in rows] == ["4", "40"]
    assert [row["promised"] for row in rows] == ["", "50"]
    assert [row["plain_ms"] for row in rows] == ["400", "4e+03"]
    assert [row["fast_MiB"] for row in rows] == ["1", ""]
    assert "differ" in third


def test_faults_name_benchmark_and_size() -> None:
    assert faults({"toy": finding()}) == [
        "toy at 100 pairs: 40 times faster, 50 promised",
        "toy at 1,000 pairs: loss: off",
    ]


def test_kept_promises_are_no_fault(tmp_path: Path) -> None:
    kept = Finding("pairs", finding().measurements[:1])
    table = write(RunFolder(tmp_path), {"toy": kept}, [])
    assert json.loads((tmp_path / "bench.json").read_text())["status"] == "finished"
    assert not any("promised:" in note or "grows" in note for note in table.notes)


def test_picture_has_a_line_per_way(tmp_path: Path) -> None:
    figure = Figure()
    draw(figure, {"toy": finding(), "off": Finding("pairs", finding().measurements[2:])})
    (axes,) = figure.axes
    assert [axes.get_xscale(), axes.get_yscale()] == ["log", "log"]
    plain, fast, *nothing = [line.get_xydata().tolist() for line in axes.lines]
    assert plain == [[10, 0.4], [100, 4.0]]
    assert fast == [[10, 0.1], [100, 0.1]]
    assert nothing == [[], []]
