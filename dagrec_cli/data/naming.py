"""What people call the nodes that a model knows: in full, short, as in their files, or wrongly."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool

from dagrec_cli.data.composition import PREFIX_SERVICE, PREFIX_TABLE
from dagrec_cli.data.vocabulary import UNKNOWN_NODES, Vocabulary
from dagrec_cli.errors import DataError, plural

OnUnknown = Literal["error", "skip", "nearest", "model"]

PREFIXES = (PREFIX_TABLE, PREFIX_SERVICE)
UNKNOWN_TABLE, UNKNOWN_SERVICE = UNKNOWN_NODES
NONE_NEAR = "no known name is near"
MOST_REPLACED = 100  # unknown names of a context; to look for what is near takes milliseconds each
NAMED = 3  # unknown names, or queries, that a message names
MOST_NEAR_KEPT = 1024  # unknown names whose near ones are kept
NEAR_ENOUGH = 0.65  # of difflib's ratio; at its default, .6, "nope" is near "snpEff"


class UnknownNameError(DataError):
    """The model does not know a name."""


class Found(NamedTuple):
    """The nodes that names are of.

    Attributes
    ----------
    nodes
        The index of each; behind those of the model, the position in ``unknown``.
    replaced
        What was taken for names that are not known.
    unknown
        In full, names that the model reads as UNKNOWN nodes.
    """

    nodes: list[int]
    replaced: dict[str, str]
    unknown: tuple[str, ...] = ()


class Naming:
    """Finds the node that a name is of.

    Parameters
    ----------
    vocabulary
        The names that the model knows.
    service_name
        What the reader of the model's data makes of a service's name in a file.
    """

    def __init__(self, vocabulary: Vocabulary, service_name: Callable[[str], str] = str) -> None:
        self.vocabulary = vocabulary
        self.service_name = service_name
        self._kept_near = lru_cache(MOST_NEAR_KEPT)(self._nearest)

    def nodes(
        self, names: Sequence[str], on_unknown: OnUnknown = "error", *, is_whole: bool = False
    ) -> Found:
        """Return the index of each node.

        Parameters
        ----------
        names
            As in the vocabulary, which counts first; without the prefix of its kind; or a service's
            as files write it.
        on_unknown
            What a name that is not known stands for: ``nearest``, the one nearest to it; ``model``,
            the UNKNOWN node of its kind, if the model has one; otherwise for nothing.
        is_whole
            Whether they have their prefixes, as those that a reader gives.

        Raises
        ------
        DataError
            If one is unknown, too many are for ``nearest``, or one is of two nodes without its
            prefix; the message has no full stop.
        """
        found = {name: self.known(name, is_whole=is_whole) for name in names}
        unknown = [name for name, known in found.items() if known is None]
        if on_unknown == "nearest" and len(unknown) > MOST_REPLACED:
            problem = f"{len(unknown):,} unknown nodes; nearest replaces {MOST_REPLACED} at most"
            raise DataError(problem)
        taken = {name: known for name in unknown if (known := self._instead(name, on_unknown))}
        found |= taken
        if missing := [name for name in unknown if name not in taken]:
            raise UnknownNameError(f"unknown node {self.told(missing)}")
        index = {name: self.vocabulary.index[known] for name, known in found.items() if known}
        if on_unknown != "model":
            return Found([index[name] for name in names], taken)
        index |= {name: k for k, name in enumerate(taken, start=1 + len(self.vocabulary.nodes))}
        return Found([index[name] for name in names], taken, tuple(map(self._in_full, taken)))

    def known(self, name: str, *, is_whole: bool = False) -> str | None:
        """Return a node's name in full, None if it is unknown; see :meth:`nodes`."""
        index = self.vocabulary.index
        if name in index:
            return name
        found = [] if is_whole else [kind + name for kind in PREFIXES if kind + name in index]
        if len(found) > 1:
            raise DataError(f"ambiguous node {name!r}; write {' or '.join(found)}")
        if found:
            return found[0]
        if name.startswith(PREFIX_TABLE) or (is_whole and not name.startswith(PREFIX_SERVICE)):
            return None
        service = self._in_full(name)
        return service if service in index else None

    def _in_full(self, name: str) -> str:
        """Return a name that is not known as the data would have it."""
        if name.startswith(PREFIX_TABLE):
            return name
        return PREFIX_SERVICE + self.service_name(name.removeprefix(PREFIX_SERVICE))

    def _instead(self, name: str, on_unknown: OnUnknown) -> str | None:
        """Return what is taken for an unknown name."""
        if on_unknown == "nearest":
            return next(iter(self.near(name)), None)
        of_kind = UNKNOWN_TABLE if name.startswith(PREFIX_TABLE) else UNKNOWN_SERVICE
        return of_kind if on_unknown == "model" and of_kind in self.vocabulary.index else None

    def near(self, name: str) -> list[str]:
        """Return up to three known names, the nearest first; of its kind if it has the prefix.

        Prefixes and the case of letters have no part in what is near. The same name of the other
        kind is nearest: a node that nothing feeds may be a table there, and here a service.
        """
        return self._kept_near(name)

    def _nearest(self, name: str) -> list[str]:
        kind, word = prefix_of(name), word_of(name)
        bare = {each: whole for each, whole in self._bare if whole.startswith(kind)}
        same = [whole for each, whole in self._bare if each == word]
        close = [bare[each] for each in get_close_matches(word, bare, cutoff=NEAR_ENOUGH)]
        return list(dict.fromkeys([*same, *close]))[:NAMED]

    def told(self, names: Sequence[str], kind: str = "") -> str:
        """Return the first of some unknown names, each with what is near."""
        parts = []
        for name in names[:NAMED]:
            near = ", ".join(self.near(kind + name))
            parts.append(f"{name!r} ({near and 'nearest known names: '}{near or NONE_NEAR})")
        return ", ".join([*parts, *["…"] * (len(names) > NAMED)])

    @cached_property
    def _bare(self) -> list[tuple[str, str]]:
        """Every name as it is compared, and in full."""
        names = (name for name in self.vocabulary.nodes if name not in UNKNOWN_NODES)
        return [(word_of(name), name) for name in names]


def prefix_of(name: str) -> str:
    """Return the prefix that says what kind of node has a name; empty if none does."""
    return next(filter(name.startswith, PREFIXES), "")


def word_of(name: str) -> str:
    """Return a name as it is compared: without the prefix of its kind, in small letters."""
    return name.removeprefix(prefix_of(name)).casefold()


def allowed_services(
    names: Iterable[str] | None, naming: Naming
) -> tuple[Bool[np.ndarray, " services"], str]:
    """Return which services of the catalogue some names are of, and a line about the other names.

    Without names it is all of them.

    Raises
    ------
    DataError
        If no name is of any.
    """
    classes = {name: c for c, name in enumerate(naming.vocabulary.services)}
    given = list(dict.fromkeys(classes if names is None else names))
    found: dict[str, int] = {}
    for name in given:
        written = naming.service_name(name.removeprefix(PREFIX_SERVICE))
        readings = (name, PREFIX_SERVICE + name, PREFIX_SERVICE + written)
        if known := [classes[each] for each in readings if each in classes]:
            found[name] = known[0]
    is_allowed = np.zeros(len(classes), bool)
    is_allowed[list(found.values())] = True
    others = [name for name in given if name not in found]
    line = (
        f"allowed: {len(others):,} of {plural(len(given), 'name')} stand for no service that the "
        f"model can recommend: {naming.told(others, PREFIX_SERVICE)}"
    )
    if not found:
        raise DataError(f"{line}; give some that are." if given else "allowed names no service.")
    return is_allowed, line if others else ""
