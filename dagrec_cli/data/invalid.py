"""What happens to compositions that break a rule: stop at the first, or leave out and count."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from dagrec_cli.data.composition import Composition, Fault, Invalid, Source, check_acyclic
from dagrec_cli.data.paths import count_paths
from dagrec_cli.errors import DataError, plural

OnInvalid = Literal["error", "skip"]

# What differs between two faults of one kind: ids, walks along a cycle, byte positions.
_DETAIL = re.compile(r""" ?('[^']*'|"[^"]*"|\([^)]*\)|(?<=^cycle )[^;]*)""")


def without_contexts(composition: Composition, position: int, source: Source) -> Invalid | None:
    """Return why a composition has no contexts, or too many paths to list them; None if it has.

    Parameters
    ----------
    position
        Names the composition if it knows no place of its own.
    source
        Says what a context is, and how many paths a composition may have. One that is no reader of
        files may yield cycles, which nothing behind it could walk.
    """
    n_nodes, links = len(composition.names), composition.links
    place = composition.place or f"compositions[{position}]"
    if faults := check_acyclic(n_nodes, links, composition.ids or composition.names, place):
        return Invalid(tuple(faults))
    if source.context != "path":
        return None
    max_paths, n_paths = source.max_paths, count_paths(n_nodes, links)
    if n_paths <= max_paths:
        return None
    problem = (
        f"too many paths ({n_paths:,}); data.max_paths is {max_paths:,}: raise it, or use "
        "data.context=dag, which walks along none"
    )
    return Invalid((Fault(place, problem),))


def refuse(invalid: Invalid, on_invalid: str, skipped: list[Invalid]) -> None:
    """Add a composition that is left out to ``skipped``.

    Raises
    ------
    DataError
        If something is wrong with it and ``on_invalid`` is ``error``.
    """
    if invalid.is_fault and on_invalid != "skip":
        raise DataError(_message(invalid))
    skipped.append(invalid)


def valid(
    items: Iterable[Composition | Invalid], on_invalid: str, skipped: list[Invalid]
) -> Iterator[Composition]:
    """Yield the valid compositions; the others stop the reading or go to ``skipped``.

    Parameters
    ----------
    items
        What a reader yields.
    on_invalid
        ``error`` or ``skip``.
    skipped
        Receives the invalid compositions if ``on_invalid`` is ``skip``.

    Raises
    ------
    DataError
        At the first invalid composition, if ``on_invalid`` is ``error``.
    """
    for item in items:
        if isinstance(item, Composition):
            yield item
        else:
            refuse(item, on_invalid, skipped)


def summarise(skipped: Sequence[Invalid]) -> str:
    """Return one line such as ``3 compositions skipped: 2 x unknown node, 1 x cycle``.

    A composition counts once, under its first fault, so the counts sum to the total. Empty if
    nothing was skipped.
    """
    if not skipped:
        return ""
    kinds = Counter(_kind_of_problem(invalid.faults[0].problem) for invalid in skipped)
    counts = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common())
    return f"{plural(len(skipped), 'composition')} skipped: {counts}"


def count_dropped(dropped: Mapping[str, int]) -> str:
    """Return what was left out of compositions: ``links that close a cycle (2)``."""
    return ", ".join(f"{what} ({count:,})" for what, count in dropped.items())


def _message(invalid: Invalid) -> str:
    first, *others = invalid.faults
    more = f" ({plural(len(others), 'more fault')} in this composition)" if others else ""
    return (
        f"{first}{more}. Fix the file, or leave such compositions out with data.on_invalid=skip; "
        "`dagrec data validate` lists every fault."
    )


def _kind_of_problem(problem: str) -> str:
    """Return a problem without its details: ``unknown node '9'; ...`` is ``unknown node``."""
    return _DETAIL.sub("", problem).split(";")[0].strip()
