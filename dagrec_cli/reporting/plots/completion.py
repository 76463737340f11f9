"""A composition, and what is recommended where it goes on, drawn in layers."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from dagrec_cli.data.composition import PREFIX_TABLE, Composition
from dagrec_cli.errors import DataError, visible
from dagrec_cli.evaluation.recommender import Answer
from dagrec_cli.reporting.plots.boxes import Box, BoxDrawing, Line, label
from dagrec_cli.reporting.plots.drawing import (
    INK,
    ORANGE,
    PALE,
    Picture,
    chosen,
    shown,
    style,
)
from dagrec_cli.runs.recommend import Recommender

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_NODES = 500
LAYERS_APART = 0.55  # inches
WIDEST_NOTE = 34  # letters
TO_ANSWER: dict[str, Any] = {"edgecolor": ORANGE, "linestyle": (0, (3, 2))}


@style()
def draw_answers(
    recommender: Recommender, given: Path | Sequence[str], answers: Sequence[Answer]
) -> Picture:
    """Return a picture of what is recommended.

    Parameters
    ----------
    given
        The file of one composition, or the names of the nodes of a context.
    answers
        Those to it.

    Raises
    ------
    DataError
        If the file holds several compositions, or one that is too large.
    """
    if isinstance(given, Path):
        items = recommender.compositions(given, needs_link=False)
        drawn = [each for each in items if isinstance(each, Composition)]
        if len(drawn) != 1:
            raise DataError(
                f"{given}: {len(drawn):,} compositions, and a picture shows one; give a file with "
                "one, or write JSON, with output=FILE.json."
            )
        (composition,), name = drawn, given.name
        called = list(composition.ids or composition.names)
        at = [called.index(answer.node or answer.after) for answer in answers]
    else:
        names = tuple(recommender.naming.known(each) or each for each in given)
        is_service = tuple(not each.startswith(PREFIX_TABLE) for each in names)
        composition = Composition(names, is_service, tuple(pairwise(range(len(names)))))
        name, at = "a context", [len(names) - 1] * len(answers)
    run = recommender.run
    chose = visible(f"{chosen(run.result.choices)}, {run.path}")
    figure = completion(composition, dict(zip(at, answers, strict=True)))
    return Picture("completion", f"What comes next: {shown(name)}", "", figure, chose)


@style()
def completion(composition: Composition, answers: Mapping[int, Answer]) -> "Figure":
    """Draw a composition with the answers at its nodes, given by position.

    It runs from left to right, or downwards if that is nearer to the shape of a page.

    Raises
    ------
    DataError
        If there are too many nodes for one picture.
    """
    if (n_nodes := len(composition.names)) > MOST_NODES:
        raise DataError(
            f"the composition has {n_nodes:,} nodes, and a picture shows {MOST_NODES:,}; write "
            "JSON, with output=FILE.json."
        )
    boxes = dict(_boxes(composition, answers))
    links = [(f"{a}", f"{b}") for a, b in composition.links]
    drawing = BoxDrawing(boxes, [*links, *((f"{n}", f"+{n}") for n in answers)], LAYERS_APART)
    for way in drawing.ways:
        is_answer = way[-1].startswith("+")
        drawing.draw_link(way, **(TO_ANSWER if is_answer else {}))
    return drawing.figure


def _boxes(composition: Composition, answers: Mapping[int, Answer]) -> Iterator[tuple[str, Box]]:
    """Yield a box for each node, by its position, and ``+position`` for each answer."""
    new = {name for answer in answers.values() for name in answer.replaced}
    kinds = zip(composition.names, composition.is_service, strict=True)
    for node, (name, is_service) in enumerate(kinds):
        line = Line(label(name) + " (new)" * (name in new))
        yield f"{node}", Box("service" if is_service else "table", [line], node in answers)
    for node, answer in answers.items():
        yield f"+{node}", Box("list", list(_answer_lines(answer)))


def _answer_lines(answer: Answer) -> Iterator[Line]:
    note = "nothing is known to follow" if answer.known_to_follow == 0 else ""
    for text in wrap(visible(answer.error or note), WIDEST_NOTE):
        yield Line(text, colour=PALE)
    for each in answer.services:
        yield Line(label(each.service), each.probability, INK if each.allowed else PALE)
