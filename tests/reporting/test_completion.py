"""A composition and what is recommended at its ends, as a picture."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagrec_cli.data.composition import Composition
from dagrec_cli.errors import DataError
from dagrec_cli.evaluation.recommender import Answer, Recommendation
from dagrec_cli.reporting.plots.completion import MOST_NODES, completion
from dagrec_cli.reporting.plots.layered import _apart, layered, placed


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0.1, 3)), min_size=1, max_size=9))
def test_places_are_nearest_to_those_wished_for(boxes: list[tuple[float, float]]) -> None:
    wish, room = np.array(boxes).T
    found = _apart(wish, room)
    least = (room[1:] + room[:-1]) / 2
    assert (np.diff(found) >= least - 1e-9).all()
    # What touches moves as one, so whatever it is, its wishes are met in the mean.
    for part in np.split(np.arange(len(wish)), np.flatnonzero(np.diff(found) > least + 1e-9) + 1):
        assert found[part].mean() == pytest.approx(wish[part].mean(), abs=1e-6)


def test_nothing_covers_anything(random_compositions: list[Composition]) -> None:
    """Neither boxes nor links that pass a layer, in compositions of very different boxes."""
    rng = np.random.default_rng(0)
    for composition in random_compositions[:60]:
        names = [f"{k}" for k in range(len(composition.names))]
        links = [(f"{a}", f"{b}") for a, b in composition.links]
        drawn = rng.random((len(names), 2)).tolist()
        sizes = {name: (w, h) for name, (w, h) in zip(names, drawn, strict=True)}
        layering = layered(names, links)
        middle, span, extent = placed(layering, sizes, apart=0.1, between=0.5)
        assert [(way[0], way[-1]) for way in layering.ways] == links
        for one, other in combinations(middle, 2):
            (x, y), (u, v) = middle[one], middle[other]
            (w, h), (i, j) = sizes.get(one, (0.0, 0.0)), sizes.get(other, (0.0, 0.0))
            if span[one] == span[other]:
                assert abs(y - v) >= (h + j) / 2 + 0.1 - 1e-9
            else:
                assert abs(x - u) >= (w + i) / 2
        for way in layering.ways:  # layer after layer
            begins = [span[name][0] for name in way]
            assert begins == sorted(set(begins))
        assert min(y - sizes.get(name, (0, 0))[1] / 2 for name, (_, y) in middle.items()) >= -1e-9
        assert max(end for _, end in span.values()) == pytest.approx(extent[0])


def answer(**about: Any) -> Answer:
    services = [Recommendation(f"service_{n}", p, 1, p > 0) for n, p in (("x$y$", 0.7), ("z", 0.0))]
    return Answer(services=services, **about)


def test_what_it_says_is_in_the_picture() -> None:
    names = ("table_a", "service_b\x1b[31m", "service_c", "service_d")
    composition = Composition(names, (False, True, True, True), ((0, 1), (1, 2), (0, 3)))
    answers = {
        2: answer(known_to_follow=0, replaced={"service_c": "UNKNOWN service"}),
        3: Answer(services=[], error="unknown node 'service_d'"),
    }
    figure = completion(composition, answers)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"a", "b·[31m", "c (new)", "x$y$", "0.70", "0.00"} <= {*texts}
    assert {"nothing is known to follow", "unknown node 'service_d'"} <= {*texts}
    many = ("service_a",) * (MOST_NODES + 1)
    with pytest.raises(DataError, match=r"501 nodes, and a picture shows 500"):
        completion(Composition(many, (True,) * len(many), ()), {})
