"""Recommendations as text: a table to read, JSON Lines or CSV for programs."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from dagrec_cli.data.invalid import plural
from dagrec_cli.data.naming import NAMED
from dagrec_cli.data.queries import Unanswerable
from dagrec_cli.errors import visible
from dagrec_cli.evaluation.recommender import Answer
from dagrec_cli.runs.csv_files import csv_text
from dagrec_cli.runs.predictions import ARROW

Form = Literal["auto", "table", "json", "csv"]
ANSWER_COLUMNS = ("query", "about", "known_to_follow", "rank", "service", "probability", "seen")


def answer_lines(answers: Iterable[Answer | Unanswerable], form: str) -> Iterator[str]:
    """Yield the text of each answer.

    Parameters
    ----------
    form
        ``table``: a heading and a line per service; ``json``: an object per answer; ``csv``: a
        header, then a row per service. ``known_to_follow`` is the number of services that are
        known to follow the last node, ``seen`` how often one was seen there. Why there is no answer
        stands in ``error``; in CSV the number of that query is missing.
    """
    for number, answer in enumerate(answers):
        if form == "csv":
            text = csv_text(ANSWER_COLUMNS, _answer_rows(number, answer))
            yield text if number == 0 else text.partition("\n")[2]
        elif form == "json":
            yield _json({**answer.about, **_found(answer)}) + "\n"
        else:
            yield "".join(f"{visible(line)}\n" for line in _table_lines(answer))


def answer_heading(about: Mapping[str, Any]) -> str:
    """Return what an answer is about in one line."""
    if "context" in about:
        return ARROW.join(about["context"])
    if "line" in about:
        return f"line {about['line']}"
    sink = f", sink {about['sink']}" if "sink" in about else ""
    node = f" ({about['node']})" if "node" in about else ""
    mean = f" (mean over {about['contexts']:,} paths)" if about.get("contexts", 1) > 1 else ""
    return f"composition {about['composition']}{sink}{node}{mean}"


def _found(answer: Answer | Unanswerable) -> dict[str, Any]:
    if isinstance(answer, Unanswerable):
        return {"error": answer.problem, "services": []}
    services = [
        {**service._asdict(), "probability": _round(service.probability)}
        for service in answer.services
    ]
    return {"known_to_follow": answer.n_known, "services": services}


def _json(whole: Mapping[str, Any]) -> str:
    """Return JSON that reads back the same, and in which no character acts on a terminal."""
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False)
    return text if visible(text) == text else json.dumps(whole)


def _table_lines(answer: Answer | Unanswerable) -> Iterator[str]:
    yield answer_heading(answer.about)
    if isinstance(answer, Unanswerable):
        yield f"  No answer: {answer.problem}."
        return
    if replaced := answer.about.get("replaced"):
        told = [f"{name} ({taken} is taken)" for name, taken in replaced.items()]
        more = f", and {len(told) - NAMED} more" if len(told) > NAMED else ""
        yield f"  Not known: {', '.join(told[:NAMED])}{more}."
    if answer.n_known == 0:
        yield f"  No service is known to follow {answer.last}: this ranks all of them."
    width = max(len(name) for name, _, _ in answer.services)
    for name, probability, n_seen in answer.services:
        seen = f"seen {plural(n_seen, 'time')}" if n_seen else "never seen"
        yield f"  {name:<{width}}  {probability:.4f}  {seen} after {answer.last}"


def _answer_rows(number: int, answer: Answer | Unanswerable) -> Iterator[tuple[object, ...]]:
    if isinstance(answer, Unanswerable):
        return
    about = answer_heading(answer.about)
    for rank, (name, probability, seen) in enumerate(answer.services, start=1):
        yield number, about, answer.n_known, rank, name, _round(probability), seen


def _round(probability: float) -> float:
    """Return six digits: those that do not depend on what is scored together."""
    return float(f"{probability:.6g}")
