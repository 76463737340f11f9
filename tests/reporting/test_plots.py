import re
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dagrec_cli.evaluation.calibration import Bin
from dagrec_cli.evaluation.ranks import Outcomes
from dagrec_cli.reporting.plots import drawing
from dagrec_cli.reporting.plots.charts import calibration, learning_curve, metric_bars
from dagrec_cli.reporting.plots.drawing import (
    BLUE,
    LINE_HEIGHT,
    LONGEST_NAME,
    ORANGE,
    PALE,
    Picture,
    PictureForm,
    room,
    shown,
)
from dagrec_cli.reporting.plots.gallery import SVG, XLINK, inline
from dagrec_cli.reporting.plots.layered import layered
from dagrec_cli.reporting.plots.matrices import (
    MOST_CLASSES,
    REST,
    Confusion,
    PartAccuracy,
    accuracy_cells,
    by_length,
    confusion_matrix,
)
from dagrec_cli.reporting.plots.service_graph import (
    MOST_DRAWN,
    directed,
    heaviest,
    service_graph,
)
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.runs.run import Edge

FORMS = get_args(PictureForm)


def outcomes(target: list[int], predicted: list[int]) -> Outcomes:
    zeros = np.zeros(len(target), int)
    return Outcomes(np.array(target), np.array(predicted), zeros, zeros)


def test_confusion_counts_pairs_as_a_mean_over_seeds() -> None:
    seeds = [outcomes([2, 2, 1], [2, 1, 1]), outcomes([2, 2, 1], [2, 2, 0])]
    found = Confusion.of(seeds, ["a", "b", "c", "never"])
    assert found.names == ["c", "b", "a"]  # a is no target, but was predicted
    assert found.counts.tolist() == [[1.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 0]]
    assert found.shares.tolist() == [[0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 0]]


def test_means_of_counts_stay_in_their_cells() -> None:
    counts = np.array([[120, 1 / 3, 0], [9.96, 2.5, 1], [0, 0.02, 12 + 2 / 3]])
    texts = confusion_matrix(Confusion(["a", "b", "c"], counts)).axes[0].texts
    assert [text.get_text() for text in texts] == ["120", ".3", "10", "2.5", "1", ".0", "13"]


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
    assert found == {
        "1": PartAccuracy(0.75, 2),
        "2": PartAccuracy(1.0, 1),
        "8+": PartAccuracy(1.0, 1),
    }


def test_each_part_has_a_column_that_says_how_many_pairs_it_is() -> None:
    rows = {
        "one": {"known": PartAccuracy(0.25, 1200), "new": PartAccuracy(1.0, 3)},
        "two": {"known": PartAccuracy(0.5, 9)},
    }
    figure = accuracy_cells(rows, ["known", "never", "new"], "stratum")
    axes = figure.axes[0]
    heads = [label.get_text() for label in axes.get_xticklabels()]
    assert heads == ["known\nn = 9–1,200", "new\nn = 3"]
    assert [text.get_text() for text in axes.texts] == [".250", "1.000", ".500"]
    assert (axes.get_xlabel(), [text.get_text() for text in axes.get_yticklabels()]) == (
        "stratum",
        ["one", "two"],
    )
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert boxes[0].x1 < boxes[1].x0


def test_the_lightest_edge_of_a_cycle_is_drawn_against_the_others() -> None:
    edges = [Edge("a", "b", 9), Edge("b", "c", 8), Edge("c", "a", 1), Edge("b", "a", 1)]
    assert directed(edges) == [("a", "b"), ("b", "c"), ("a", "c"), ("a", "b")]
    figure = service_graph([*edges, Edge("c", "c", 1)], frozenset("bc"))
    colours = [to_hex(p.get_edgecolor()) for p in figure.axes[0].patches if not p.get_fill()]
    assert colours == [PALE, PALE, ORANGE, ORANGE]


def test_layers_are_ordered_so_that_links_do_not_cross() -> None:
    layering = layered("abcxyz", [("a", "z"), ("b", "y"), ("c", "x")])
    first, second = layering.layers
    assert [("z", "y", "x")["abc".index(node)] for node in first] == second


def test_a_large_graph_shows_its_heaviest_edges_and_numbers_that_cover_nothing() -> None:
    rng = np.random.default_rng(0)
    nodes = [f"service_node_{k}" for k in range(300)]
    drawn = np.triu_indices(len(nodes), 1)
    pairs = rng.permutation(np.array(drawn).T)[:2_000].tolist()
    edges = [Edge(nodes[a], nodes[b], 9_000 - k) for k, (a, b) in enumerate(pairs)]
    kept = heaviest(edges)
    assert len({node for edge in kept for node in edge[:2]}) == MOST_DRAWN
    assert kept[:10] == edges[:10]
    axes = service_graph(kept, frozenset(nodes)).axes[0]
    axes.figure.draw_without_rendering()
    numbers = [text.get_window_extent() for text in axes.texts if "," in text.get_text()]
    assert len(numbers) > 0.9 * len(kept)
    boxes = [p.get_window_extent() for p in axes.patches if p.get_fill()]
    assert not any(one.overlaps(other) for one, other in combinations(numbers, 2))
    assert not any(one.overlaps(box) for one in numbers for box in boxes)


def test_learning_curves_are_a_mean_with_a_band_over_seeds() -> None:
    rows = [{"epoch": k, "loss": 1 / k, "seconds": 0.1} for k in (1.0, 2.0)]
    worse = [{**row, "loss": 2 * row["loss"], "validation_ndcg": 0.25} for row in rows]
    worse += [{"epoch": 3.0, "loss": 0.7, "refit": 1.0}]
    picture = learning_curve("curve", "model=m", [rows, worse], "ndcg")
    loss, validation = picture.figure.axes
    mean, refit = loss.lines
    assert [*mean.get_xdata(), *mean.get_ydata()] == [1, 2, 1.5, 0.75]
    assert (refit.get_xdata()[0], refit.get_ydata()[0], refit.get_linestyle()) == (1, 0.7, "--")
    band = loss.collections[0].get_paths()[0].get_extents()
    assert (band.y0, band.y1) == (0.5, 2)
    assert validation.lines[0].get_ydata().tolist() == [0.25, 0.25]
    assert "means over 2 trainings; bands: from the lowest" in picture.caption
    assert picture.figure.legends[0].get_texts()[2].get_text() == "validation nDCG"
    alone = learning_curve("curve", "", [rows], "ndcg")
    assert (alone.caption, [len(each.collections) for each in alone.figure.axes]) == ("", [0])


def test_calibration_is_a_point_with_an_interval_for_each_bin() -> None:
    axes = calibration([Bin(0.25, 0.5, 0.375, 0.75, 20), Bin(1.0, 0.75, 0.5, 1.0, 20)]).axes[0]
    even, found = axes.lines
    assert (even.get_xdata().tolist(), even.get_ydata().tolist()) == ([0, 1], [0, 1])
    assert (found.get_xdata().tolist(), found.get_ydata().tolist()) == ([0.25, 1], [0.5, 0.75])
    intervals = axes.collections[0].get_segments()
    assert np.array(intervals).tolist() == [[[0.25, 0.375], [0.25, 0.75]], [[1, 0.5], [1, 1]]]


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


def curve() -> Picture:
    rows = [{"epoch": k, "loss": 1 / k} for k in (1.0, 2.0)]
    return learning_curve("curve", "model=m data=d " + "x" * 99, [rows, rows], "ndcg")


def test_equal_pictures_are_equal_files() -> None:
    assert [curve().drawn("png"), curve().drawn("svg")] == [curve().drawn(f) for f in FORMS]


def test_a_file_says_what_its_page_says_around_it() -> None:
    picture = curve()
    svg = picture.drawn("svg").decode()
    shown = inline(svg, "p", picture.title, picture.view_box)
    for text in ("Learning curve", "model=m data=d", "means over 2 trainings"):
        assert f">{text}" in svg or f" {text}" in svg, text
        assert text not in shown.replace('aria-label="Learning curve"', ""), text
    whole = float(re.findall(r'<svg [^>]*height="([\d.]+)pt"', svg)[0])
    left, above, width, height = map(float, picture.view_box.split())
    assert (left, width, height) == (0, 360, pytest.approx(230.4))
    below = whole - above - height
    legend = picture.figure.legends[0].get_window_extent()
    assert 0 <= legend.y0 < legend.y1 < picture.figure.axes[0].get_window_extent().y0
    assert above > 3 * 72 * LINE_HEIGHT > below > 72 * LINE_HEIGHT  # of the long line two


def test_what_no_font_has_is_said_unless_one_is_installed_that_has_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told(title: str) -> bool:
        picture = Picture("p", title, "", calibration([Bin(1, 1, 1, 1, 1)]))
        svg = picture.drawn("svg").decode()
        assert title in svg
        return "Boxes are characters" in svg

    assert not told("Größe ↻")
    assert told("\u1d81")  # of another font that comes with matplotlib
    monkeypatch.setattr(drawing, "OTHER_FONTS", ("STIXGeneral", "Not Installed"))
    assert not told("\u1d81")
    assert room(["服务"]) == pytest.approx(1.6 * room(["ab"]))


def test_each_file_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib draws a figure that has a layout twice for each file."""
    picture = curve()
    drawn, plain = [], Figure.draw

    def draw(figure: Figure, renderer: Any) -> None:
        drawn.append(renderer)
        plain(figure, renderer)

    monkeypatch.setattr(Figure, "draw", draw)
    picture.save(RunFolder(tmp_path), *FORMS)
    assert len(drawn) == 2  # a PNG, an SVG


def test_svg_in_a_page_has_ids_and_colours_of_the_page() -> None:
    svg = (
        f'<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" width="9pt"><style>*{{}}</style>'
        f'<path id="m1" style="fill: {BLUE}; stroke: #010203"/><text>id="m1" {BLUE}</text>'
        '<g clip-path="url(#m1)"><use xlink:href="#m1"/></g></svg>'
    )
    assert inline(svg, "p", "a <i>", "0 1 2 3") == (
        f'<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" viewBox="0 1 2 3" role="img" '
        'aria-label="a &lt;i&gt;">'
        '<path id="p-m1" style="fill: var(--blue); stroke: #010203" />'
        f'<text>id="m1" {BLUE}</text>'
        '<g clip-path="url(#p-m1)"><use xlink:href="#p-m1" /></g></svg>'
    )
