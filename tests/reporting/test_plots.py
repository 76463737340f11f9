from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.reporting.plots.charts import learning_curve, metric_bars
from dagrec_cli.reporting.plots.drawing import BLUE, LONGEST_NAME, shown
from dagrec_cli.reporting.plots.gallery import SVG, XLINK, Picture, inline
from dagrec_cli.reporting.plots.matrices import MOST_CLASSES, REST, ByLength, Confusion, by_length
from dagrec_cli.reporting.plots.service_graph import layers
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Edge


def outcomes(target: list[int], predicted: list[int]) -> Outcomes:
    zeros = np.zeros(len(target), int)
    return Outcomes(np.array(target), np.array(predicted), zeros, zeros)


def test_confusion_counts_pairs_as_a_mean_over_seeds() -> None:
    seeds = [outcomes([2, 2, 1], [2, 1, 1]), outcomes([2, 2, 1], [2, 2, 0])]
    found = Confusion.of(seeds, ["a", "b", "c", "never"])
    assert found.names == ["c", "b", "a"]  # a is no target, but was predicted
    assert found.counts.tolist() == [[1.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0]]
    assert found.shares.tolist() == [[0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 0]]


def test_rare_classes_share_the_last_place() -> None:
    n = MOST_CLASSES + 5
    target = [0, 0, *range(n)]
    found = Confusion.of([outcomes(target, target)], [f"s{k}" for k in range(n)])
    assert len(found.names) == MOST_CLASSES + 1
    assert found.names[-1] == REST
    assert found.counts[0, 0] == 3
    assert found.counts[-1, -1] == 5
    assert found.counts.sum() == len(target)


def test_accuracy_by_length_adds_up_to_accuracy() -> None:
    seeds = [outcomes([0, 1, 1, 1], [0, 0, 1, 1]), outcomes([0, 1, 1, 1], [0, 1, 1, 1])]
    found = by_length(seeds, [np.array([1, 1, 2, 30])] * 2)
    assert found == {1: ByLength(0.75, 2), 2: ByLength(1.0, 1), 8: ByLength(1.0, 1)}


def test_layers_run_from_left_to_right() -> None:
    edges = [Edge("t", "a", 9), Edge("a", "b", 5), Edge("t", "b", 4), Edge("u", "b", 3)]
    assert [set(layer) for layer in layers(edges)] == [{"t", "u"}, {"a"}, {"b"}]


def test_the_lightest_edge_of_a_cycle_has_no_say() -> None:
    edges = [Edge("a", "b", 9), Edge("b", "c", 8), Edge("c", "a", 1), Edge("c", "c", 1)]
    assert layers(edges) == [["a"], ["b"], ["c"]]


def test_layers_are_ordered_so_that_edges_do_not_cross() -> None:
    crossed = [Edge("a", "z", 1), Edge("b", "y", 1), Edge("c", "x", 1)]
    first, second = layers(crossed)
    assert [("z", "y", "x")["abc".index(node)] for node in first] == second


@pytest.mark.parametrize("is_validated", [True, False])
def test_learning_curve_has_a_line_per_seed(*, is_validated: bool) -> None:
    rows = [{"epoch": k, "loss": 1 / k, "seconds": 0.1} for k in (1.0, 2.0)]
    if is_validated:
        rows = [row | {"validation_ndcg": row["epoch"] / 4} for row in rows]
        rows.append({"epoch": 3.0, "loss": 0.7, "seconds": 0.1, "refit": 1.0})
    axes = learning_curve({0: rows, 1: rows}, "ndcg").axes
    assert [len(each.lines) for each in axes] == ([4, 2] if is_validated else [2])
    assert axes[0].lines[0].get_ydata().tolist() == [1.0, 0.5]
    if is_validated:
        dashed = axes[0].lines[2]
        assert (dashed.get_xdata().tolist(), dashed.get_linestyle()) == ([3.0], "--")
        assert axes[1].lines[1].get_ydata().tolist() == [0.25, 0.5]


def test_the_legend_names_the_line_of_an_interval_and_not_its_bar() -> None:
    row = {"row": "a", "seeds": 1, "accuracy": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    axes = metric_bars([row], "accuracy", {"a": 0.55}).axes[0]
    named = {
        label: type(of).__name__
        for of, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    assert named == {
        "published": "Line2D",
        "95 % interval": "LineCollection",
        "ours": "BarContainer",
    }


def test_names_in_pictures_are_short_and_in_one_line() -> None:
    assert shown("service_1") == "service_1"
    assert shown("a\nb\x1b") == "a·b·"
    long = shown("x" * 50 + "end")
    assert len(long) == LONGEST_NAME
    assert long.endswith("end")


def test_equal_pictures_are_equal_files(tmp_path: Path) -> None:
    rows = [{"epoch": k, "loss": 1 / k} for k in (1.0, 2.0)]
    for name in ("one", "two"):
        figure = learning_curve({0: rows}, "ndcg")
        Picture("curve", "Curve", "", figure).save(RunFolder(tmp_path / name))
    for kind in ("png", "svg"):
        one, two = (tmp_path / name / f"curve.{kind}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_each_file_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib draws a figure that has a layout twice for each file."""
    figure = learning_curve({0: [{"epoch": 1.0, "loss": 1.0}]}, "ndcg")
    drawn, plain = [], Figure.draw

    def draw(figure: Figure, renderer: Any) -> None:
        drawn.append(renderer)
        plain(figure, renderer)

    monkeypatch.setattr(Figure, "draw", draw)
    Picture("curve", "Curve", "", figure).save(RunFolder(tmp_path))
    assert len(drawn) == 2  # a PNG, an SVG


def test_svg_in_a_page_has_ids_and_colours_of_the_page() -> None:
    svg = (
        f'<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" width="9pt"><style>*{{}}</style>'
        f'<path id="m1" style="fill: {BLUE}; stroke: #010203"/><text>id="m1" {BLUE}</text>'
        '<g clip-path="url(#m1)"><use xlink:href="#m1"/></g></svg>'
    )
    assert inline(svg, "p", "a <i>") == (
        f'<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" role="img" aria-label="a &lt;i&gt;">'
        '<path id="p-m1" style="fill: var(--blue); stroke: #010203" />'
        f'<text>id="m1" {BLUE}</text>'
        '<g clip-path="url(#p-m1)"><use xlink:href="#p-m1" /></g></svg>'
    )
