"""Recommendations as text: a table to read, JSON Lines or CSV for programs."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from dagrec_cli.errors import plural, visible
from dagrec_cli.evaluation.recommender import Answer
from dagrec_cli.evaluation.why import Counted, Why
from dagrec_cli.runs.csv_files import ARROW, csv_text

Form = Literal["auto", "table", "json", "csv"]
NODES_TOLD = 5  # nodes of a generation, or of a similar context, in a table
ANSWER_COLUMNS = ("query", "about", "known_to_follow", "rank", "service", "probability", "seen")


def answer_lines(answers: Iterable[Answer], form: str) -> Iterator[str]:
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
            yield answer_json(answer) + "\n"
        else:
            yield "".join(f"{visible(line)}\n" for line in _table_lines(answer))


def answer_json(answer: Answer) -> str:
    """Return JSON that reads back the same, and in which no character acts on a terminal."""
    whole = msgspec.to_builtins(answer)
    text = json.dumps(whole, ensure_ascii=False, allow_nan=False)
    return text if visible(text) == text else json.dumps(whole)


def answer_heading(answer: Answer) -> str:
    """Return what an answer is about in one line."""
    if answer.context is not None:
        return ARROW.join(answer.context)
    if answer.line is not None:
        return f"line {answer.line}"
    read = f" ({answer.format})" if answer.format else ""
    node = f" ({answer.node})" if answer.node else ""
    after = f", after {answer.after}{node}" if answer.after else ""
    mean = f" (mean over {answer.contexts:,} paths)" if answer.contexts > 1 else ""
    return f"composition {answer.composition}{read}{after}{mean}"


def _table_lines(answer: Answer) -> Iterator[str]:
    yield answer_heading(answer)
    if answer.error:
        yield f"  No answer: {answer.error}."
        return
    for note in answer.notes:
        yield f"  {note}"
    width = max(len(each.service) for each in answer.services)
    for each in answer.services:
        times = f"seen {plural(each.seen, 'time')}" if each.seen else "never seen"
        out = "" if each.allowed else ", so the mask rules it out"
        parts = _alone(answer.why, each.service)
        about = f"{times} after {answer.last}{out}{parts}"
        yield f"  {each.service:<{width}}  {each.probability:.4f}  {about}"
    if answer.why is not None:
        yield from (f"  {line}" for line in _why_lines(answer.why))


def _why_lines(why: Why) -> Iterator[str]:
    for each in why.counts:
        of_owner = f" of {each.owner}" if each.owner else ""
        times = "1 time" if each.seen == 1 else f"{each.seen:,} times{_weighed(each.seen)}"
        seen = f"seen {times}{_then(each.then)}" if each.seen else "never seen"
        yield f"Counts{of_owner}, {_generations(each)}: {seen}"
    for alike in why.neighbours:
        nodes = _some(alike.nodes)
        yield f"Similar context ({alike.similarity:.2f}): {nodes}{_then(alike.then)}"
    if (earlier := why.earlier) is None:
        yield f"Earlier compositions are not shown: {why.not_shown}."
        return
    if not earlier.steps:
        yield "Earlier compositions: none has the last node"
        return
    yield (
        f"Earlier compositions: {plural(earlier.steps, 'step')} of {earlier.compositions:,} after "
        f"the same {plural(earlier.generations, 'generation')}"
    )
    for example in earlier.examples:
        yield f"  {example.composition}{_then(example.then)}"
    if (more := earlier.compositions - len(earlier.examples)) > 0:
        yield f"  and {more:,} more"


def _alone(why: Why | None, service: str) -> str:
    """Return what each part of the model alone would say of a service."""
    alone = [f"{name} {share[service]:.4f}" for name, share in why.parts.items()] if why else []
    return f"; alone: {', '.join(alone)}" if alone else ""


def _weighed(count: float) -> str:
    return "" if count == int(count) else " (what a group repeats counts less)"


def _generations(counted: Counted) -> str:
    """Return what was counted after: ``2 generations: c after a, b``."""
    if not counted.generations:
        return "after anything"
    nodes = " after ".join(_some(names) for names in counted.nodes)
    return f"{plural(counted.generations, 'generation')} ({nodes})"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NODES_TOLD
    return ", ".join([*names[:NODES_TOLD], *([f"{more:,} more"] if more > 0 else [])])


def _then(services: Mapping[str, float]) -> str:
    counts = ", ".join(f"{name} {count:,}" for name, count in services.items())
    return f", then {counts}"


def _answer_rows(number: int, answer: Answer) -> Iterator[tuple[object, ...]]:
    about = answer_heading(answer)
    for rank, each in enumerate(answer.services, start=1):
        row = (each.service, each.probability, each.seen)
        yield number, about, answer.known_to_follow, rank, *row
