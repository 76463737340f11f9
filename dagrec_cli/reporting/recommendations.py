"""Recommendations as text: a table to read, JSON Lines or CSV for programs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dagrec_cli.evaluation.recommender import Answer
from dagrec_cli.reporting.csv_text import csv_text
from dagrec_cli.reporting.seed_run import STEP

FORMATS = ("auto", "table", "json", "csv")
COLUMNS = ("query", "about", "rank", "service", "probability")


def lines_of(answers: Iterable[Answer], form: str) -> Iterator[str]:
    """Yield the text of each answer.

    Parameters
    ----------
    form
        ``table``: a heading and a line per service; ``json``: an object per answer; ``csv``: a
        header, then a row per service.
    """
    for number, answer in enumerate(answers):
        if form == "csv":
            text = csv_text(COLUMNS, _rows(number, answer))
            yield text if number == 0 else text.partition("\n")[2]
        elif form == "json":
            services = [{"service": name, "probability": _round(p)} for name, p in answer.services]
            yield json.dumps({**answer.about, "services": services}, ensure_ascii=False) + "\n"
        else:
            width = max((len(name) for name, _ in answer.services), default=0)
            rows = [f"  {name:<{width}}  {p:.4f}\n" for name, p in answer.services]
            yield "".join([f"{heading(answer.about)}\n", *rows])


def heading(about: Mapping[str, Any]) -> str:
    """Return what an answer is about in one line."""
    if "context" in about:
        return STEP.join(about["context"])
    paths = "1 path" if about["paths"] == 1 else f"mean of {about['paths']:,} paths"
    return f"composition {about['composition']}, sink {about['sink']} ({paths})"


def _rows(number: int, answer: Answer) -> Iterator[tuple[object, ...]]:
    about = heading(answer.about)
    for rank, (name, probability) in enumerate(answer.services, start=1):
        yield number, about, rank, name, _round(probability)


def _round(probability: float) -> float:
    """Return six digits: those that do not depend on what is scored together."""
    return float(f"{probability:.6g}")
