"""Recommendations of a run: what is asked is read as the data were that its model learnt from."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from jaxtyping import Bool
from omegaconf import OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.config.kinds import Count, check
from dagrec_cli.config.where import PACKAGE, options
from dagrec_cli.data.composition import Composition, Fault, Invalid, Source, as_dag
from dagrec_cli.data.files import opened
from dagrec_cli.data.naming import Naming, OnUnknown, allowed_services
from dagrec_cli.data.queries import Asked, check_answerable, end_queries, query_of, read_queries
from dagrec_cli.data.readers.base import Reader
from dagrec_cli.data.readers.formats import START, likely_option
from dagrec_cli.errors import ConfigError, DataError, RunError, plural
from dagrec_cli.evaluation.recommender import Answer, recommend
from dagrec_cli.evaluation.why import Explainer
from dagrec_cli.models.base import PlainMask
from dagrec_cli.runs.data import explainer, own_data
from dagrec_cli.runs.folder import LOGGER
from dagrec_cli.runs.model import deployed_model
from dagrec_cli.runs.run import Run

UNLIKE_ANY = "compositions"  # what reads a file that looks like none of the formats
IN_MEMORY = "composition"  # what messages call a file that lies in memory

Given = Path | bytes | Composition
Compositions = Iterator[Composition | Invalid]


class Choice(NamedTuple):
    """What an answer may hold.

    Attributes
    ----------
    top_k
        How many services, at most.
    allowed
        Which of the catalogue.
    notes
        What one has to know of that, in sentences: names of no service, fewer than are asked for.
    """

    top_k: int
    allowed: Bool[np.ndarray, " services"]
    notes: list[str]


class How(TypedDict, total=False):
    """How to recommend: see :meth:`Recommender.choice` and :meth:`Recommender.context`."""

    k: int
    allowed: Iterable[str] | None
    on_unknown: OnUnknown
    why: bool


class Recommender:
    """A run's model, to be asked by names as often as one likes.

    :meth:`after_contexts` and :meth:`after_composition` are all that most need. They ask in two
    steps: :meth:`context`, :meth:`lines` and :meth:`composition` read questions, or say why there
    is no answer; :meth:`answers` answers any number of them.

    Parameters
    ----------
    seed
        Whose model; None for the run's first seed.
    mask
        ``hard`` or ``none``; None for the model's own.

    Attributes
    ----------
    model
        What scores.
    told
        A line if it is not the model whose figures the run has, else empty.

    Raises
    ------
    RunError
        If the run folder holds no model that is sound.
    """

    def __init__(self, run: Run, seed: int | None = None, mask: PlainMask | None = None) -> None:
        self.run = run
        self.model, self.told = deployed_model(run, seed)
        self.model.mask = mask or self.model.mask
        self.vocabulary = self.model.facts.vocabulary
        self.naming = Naming(self.vocabulary, _service_namer(run))

    def after_contexts(self, contexts: Iterable[Iterable[str]], **how: Unpack[How]) -> list[Answer]:
        """Return an answer to each context, given as names of nodes.

        Raises
        ------
        DagrecError
            If there is no answer to one, unless ``on_unknown`` is ``skip``.
        """
        lists = (each if isinstance(each, str) else list(each) for each in contexts)
        on_unknown = how.get("on_unknown", "error")
        asked = [self.context(each, on_unknown, f"contexts[{n}]") for n, each in enumerate(lists)]
        return self._all(asked, **how)

    def after_composition(
        self, given: Given, after: Collection[str] = (), **how: Unpack[How]
    ) -> list[Answer]:
        """Return an answer to each question of :meth:`composition`; see :meth:`after_contexts`."""
        asked = self.composition(given, how.get("on_unknown", "error"), after)
        return self._all(list(asked), **how)

    def _all(
        self,
        asked: list[Asked],
        *,
        k: int = 5,
        allowed: Iterable[str] | None = None,
        on_unknown: OnUnknown = "error",
        why: bool = False,
    ) -> list[Answer]:
        check("k", k, Count)
        check("on_unknown", on_unknown, OnUnknown)
        choice = self.choice(k, allowed)
        for note in choice.notes:
            LOGGER.warning("%s", note)
        if on_unknown != "skip":
            check_answerable(asked, self.vocabulary)
        return list(self.answers(asked, choice, self._explainer if why else None))

    def choice(self, top_k: int, allowed: Iterable[str] | None = None) -> Choice:
        """Return what answers may hold.

        Parameters
        ----------
        top_k
            How many services; a smaller catalogue is given whole.
        allowed
            Names of the services that may be recommended; None for all.

        Raises
        ------
        DataError
            If no name is of a service that the model can recommend.
        """
        is_allowed, others = allowed_services(allowed, self.naming)
        notes = [f"{others}."] if others else []
        if (n_services := int(is_allowed.sum())) < top_k:
            few = plural(n_services, "service")
            notes.append(f"top_k is {top_k}, but only {few} can be ranked.")
        return Choice(top_k, is_allowed, notes)

    def context(self, names: object, on_unknown: OnUnknown = "error", place: str = "") -> Asked:
        """Return what is asked after a list of node names; ``place`` is for messages."""
        return query_of(names, self.naming, on_unknown, place)

    def lines(self, lines: Iterable[bytes], on_unknown: OnUnknown = "error") -> Iterator[Asked]:
        """Yield what is asked in each line, a context in JSON; blank ones are skipped."""
        return read_queries(lines, self.naming, on_unknown)

    def composition(
        self,
        given: Given,
        on_unknown: OnUnknown = "error",
        after: Collection[str] = (),
        form: str = "",
    ) -> Iterator[Asked]:
        """Yield what is asked at each open end of each composition of a file.

        It is read by the run's own reader where it is of its format, or of none that is known; else
        by the reader of that format. Contexts are of the kind that the model learnt from, and links
        that close a cycle are left out.

        Parameters
        ----------
        given
            The file, or what it holds, or a composition whose names have their prefixes.
        after
            Ids or names of the nodes to go on from; none for the open ends.
        form
            Which option of the group data reads it; empty for what its content looks like.

        Raises
        ------
        DagrecError
            If the file cannot be read or holds none, or the run's own reader must not be built.
        """
        items, source, option = self._read(given, form, needs_link=False)  # it is only begun
        return end_queries(items, source, self.naming, on_unknown, after=after, form=option)

    def compositions(self, given: Given, *, needs_link: bool = True) -> Compositions:
        """Yield the compositions of a file, read as in :meth:`composition`."""
        return self._read(given, "", needs_link=needs_link)[0]

    def _read(
        self, given: Given, form: str, *, needs_link: bool
    ) -> tuple[Compositions, Source, str]:
        if form and form not in options("data"):
            raise ConfigError(f"no data={form}; name one of {', '.join(options('data'))}.")
        like = form or _likely_option(given)
        node, option = _reader(self.run, like)
        name = str(given) if isinstance(given, Path) else IN_MEMORY
        node |= {"path": name} if isinstance(given, Path) else {}
        source: Source = build(OmegaConf.create(node), "data", kind=Source)
        if isinstance(source, Reader):
            source.needs_link = needs_link
        return _said_of(_items(source, given), name, "" if like else option), source, option

    def answers(
        self, asked: Iterable[Asked], choice: Choice, explain: Explainer | None = None
    ) -> Iterator[Answer]:
        """Yield the answer to each question, in order; they are scored together."""
        return recommend(self.model, asked, choice.top_k, choice.allowed, explain)

    @cached_property
    def _explainer(self) -> Explainer:
        return self.explainer()

    def explainer(self, data_path: Path | None = None) -> Explainer:
        """Return what says why services are recommended.

        Parameters
        ----------
        data_path
            Where the run's data lie; None for where it has them, if below the working folder.
        """
        return explainer(self.run, self.model, data_path, is_final=bool(self.told))


def _service_namer(run: Run) -> Callable[[str], str]:
    """Return what the run's reader makes of a service's name in a file; few names need it."""

    @cache
    def service_name() -> Callable[[str], str]:
        try:
            reader = build(own_data(run), "data")
        except (ConfigError, RunError):  # of others, whose code is not trusted
            return str
        return getattr(reader, "service_name", str)

    return lambda name: service_name()(name)


def _likely_option(given: Given) -> str:
    if isinstance(given, Path):
        with opened(given) as content:
            given = content.read(START)
    return UNLIKE_ANY if isinstance(given, Composition) else likely_option(given[:START])


def _reader(run: Run, like: str) -> tuple[dict[str, Any], str]:
    """Return the settings of what reads a file that looks like an option, and the option's name."""
    option = options("data").get(like)
    own = {str(key): value for key, value in own_data(run).items()}
    is_others = not own["_target_"].startswith(f"{PACKAGE.name}.")
    if "path" in own and (is_others or option is None or option["_target_"] == own["_target_"]):
        node, like = own, run.result.choices.get("data", like)
    else:  # before there was a choice of contexts, they were paths
        node = {**(option or options("data")[UNLIKE_ANY]), "context": own.get("context", "path")}
    return node | ({"on_cycle": "cut"} if "on_cycle" in node else {}), like or UNLIKE_ANY


def _items(source: Source, given: Given) -> Compositions:
    if isinstance(given, Path):
        yield from source.read()
    elif isinstance(given, Composition):
        yield as_dag(given, "cut", needs_link=getattr(source, "needs_link", True))
    elif isinstance(source, Reader):
        yield from source.read_bytes(given, IN_MEMORY)
    else:
        raise DataError(f"{type(source).__name__} reads files alone; give the composition as one.")


def _said_of(items: Compositions, name: str, option: str) -> Compositions:
    """Yield what a file holds; if nothing, or nothing readable, say of which format it was taken.

    Parameters
    ----------
    option
        Which option reads it though it does not look like it; empty if it does.
    """
    hint = f" (it looks like no format that data reads, so it is read as data={option})"
    try:
        first = next(items, None)
    except DataError as error:
        if not option:
            raise
        raise DataError(f"{str(error).rstrip('.')}{hint}.") from error
    if first is None:
        raise DataError(f"{name}: no composition in it; give a file that holds one.")
    if option and isinstance(first, Invalid):
        (place, problem), *_ = first.faults
        first = Invalid((Fault(place, f"{problem}{hint}"),))
    yield first
    yield from items
