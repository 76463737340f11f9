"""What a data set holds, and what its split leaks, as lines for reading."""

from collections.abc import Mapping
from datetime import UTC, datetime

from dagrec_cli.data.description import Description
from dagrec_cli.data.invalid import count_dropped
from dagrec_cli.errors import plural

COMMON_CLASSES = 15
MOST_OWNERS = 10
DAY = 86_400  # seconds
MOST_VALUES = 20  # of a list of counts in a line
CONTEXT_WORDS = {
    "dag": "what leads to a step as a whole; a step is a link into a service",
    "path": "one path at a time; a step counts once for each path through it",
}


def description_lines(found: Description) -> list[tuple[str, str]]:
    """Return headings and what stands behind them, for reading."""
    n_targets = sum(found.targets.values())
    common = list(found.targets.items())[:COMMON_CLASSES]
    rest = len(found.targets) - len(common)
    classes = [f"{name} {count:,} ({count / n_targets:.1%})" for name, count in common]
    leaks = f"{found.leaked_pairs:.1%} of test pairs, {found.leaked_contexts:.1%} of contexts"
    tables, services = plural(found.tables, "table"), plural(found.services, "service")
    graph = {"all": "all edges, test pairs' too", "train": "edges of training only"}
    return [
        ("compositions", f"{found.compositions:,} (left out: {found.left_out})"),
        ("duplicates", f"{found.duplicates:,} ({found.duplicates / found.compositions:.0%})"),
        *([("dropped", count_dropped(found.dropped))] if found.dropped else []),
        ("owners", _owners(found)),
        ("times", _times(found)),
        *([("not used", ", ".join(found.unused))] if found.unused else []),
        ("context", f"{found.context}: {CONTEXT_WORDS[found.context]}"),
        ("steps", f"{found.steps:,} ({found.distinct_steps:,} distinct)"),
        ("contexts", f"{found.distinct_contexts:,} distinct, of {found.entries:,} entries"),
        ("context depth", _listed(found.context_depths)),
        *_shape_lines(found),
        ("nodes", f"{found.nodes:,} ({tables}, {services})"),
        ("target services", f"{found.target_services:,}"),
        ("edges", f"{found.edges:,}"),
        ("targets", "\n".join([*classes, *([f"and {rest:,} rarer ones"] if rest else [])])),
        ("split", f"{found.split}: {found.train_pairs:,} train, {found.test_pairs:,} test"),
        ("held out", found.held_out.of_pairs),
        *([] if found.held_out.groups is None else [("groups", found.held_out.in_groups)]),
        *([] if found.held_out.cold is None else [("cold", found.held_out.units)]),
        *(("warning", warning) for warning in (*found.warnings, *found.held_out.warnings)),
        ("in train too", leaks),
        ("unknown", _unseen(found)),
        (
            "hard mask",
            f"{graph[found.mask_graph]}; rules out "
            f"{plural(found.forbidden_test_targets, 'test target')}",
        ),
        ("sha256", found.sha256),
    ]


def _unseen(found: Description) -> str:
    """Return what of the test a model that is fitted on the training pairs does not know."""
    targets, contexts = (
        n / found.test_pairs for n in (found.unseen.targets, found.unseen.contexts)
    )
    return (
        f"{plural(found.unseen.nodes, 'node')}; the target of {targets:.1%} of test pairs, "
        f"a node in the context of {contexts:.1%}"
    )


def _owners(found: Description) -> str:
    """Return how many owners there are, and which share of the compositions each has."""
    shares = [f"{count / found.compositions:.1%}" for count in found.owners[:MOST_OWNERS]]
    more = ", …" if len(found.owners) > MOST_OWNERS else ""
    known = sum(found.owners)
    return (
        f"{len(found.owners):,} of {plural(known, 'composition')}: {', '.join(shares)}{more}"
        if known
        else "none"
    )


def _shape_lines(found: Description) -> list[tuple[str, str]]:
    if found.shape is None:
        return []
    return [
        ("branching", f"{found.shape.branching:.0%} of the compositions (equal inputs are one)"),
        ("merging", f"{found.shape.merging:.0%} of the compositions"),
        ("next set size", _listed(found.shape.next_sets)),
    ]


def _listed(counts: Mapping[int, int]) -> str:
    """Return ``1: 943, 2: 57``; of more than so many values the first ones, and the last."""
    cells = [f"{value:,}: {count:,}" for value, count in counts.items()]
    if len(cells) > MOST_VALUES:
        cells[MOST_VALUES - 1 : -1] = ["…"]
    return ", ".join(cells)


def _times(found: Description) -> str:
    """Return how many compositions have a start time, the first and last day, the longest gap."""
    times = found.times
    if times is None:
        return "none"
    first, last = _day(times.first), _day(times.last)
    span = f"{times.known:,} of {found.compositions:,}, {first} to {last}"
    if not times.longest_gap:
        return span
    days = f"{times.longest_gap / DAY:,.0f} days from {_day(times.longest_from)}"
    return f"{span}; median gap {times.median_gap / DAY:,.1f} days, longest {days}"


def _day(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
