"""Recommendations of a run: what is asked is read as the data were that its model learnt from."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cache, cached_property
from typing import NamedTuple, TypedDict, Unpack

import numpy as np
from jaxtyping import Bool

from dagrec_cli.config.build import build
from dagrec_cli.config.kinds import Count, check
from dagrec_cli.config.where import user_path
from dagrec_cli.data.naming import Naming, OnUnknown, allowed_services
from dagrec_cli.data.queries import (
    Asked,
    Query,
    check_answerable,
    end_queries,
    query_of,
    read_queries,
)
from dagrec_cli.data.vocabulary import UNKNOWN_OWNER
from dagrec_cli.errors import ConfigError, RunError, plural
from dagrec_cli.evaluation.recommender import Answer, SaysWhy, recommend
from dagrec_cli.evaluation.why import Explainer
from dagrec_cli.models.base import PlainMask
from dagrec_cli.runs.data import Compositions, Given, explainer, own_data, read_given
from dagrec_cli.runs.folder import LOGGER
from dagrec_cli.runs.model import deployed_model
from dagrec_cli.runs.run import Run


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
    owner
        Who asks, by the model's number; None for the owner that a composition says.
    """

    top_k: int
    allowed: Bool[np.ndarray, " services"]
    notes: list[str]
    owner: int | None


class How(TypedDict, total=False):
    """How to recommend: see :meth:`Recommender.choice` and :meth:`Recommender.context`."""

    k: int
    allowed: Iterable[str] | None
    on_unknown: OnUnknown
    owner: str | None
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
        owner: str | None = None,
        why: bool = False,
    ) -> list[Answer]:
        check("k", k, Count)
        check("on_unknown", on_unknown, OnUnknown)
        choice = self.choice(k, allowed, owner)
        for note in choice.notes:
            LOGGER.warning("%s", note)
        if on_unknown != "skip":
            check_answerable(asked, self.vocabulary)
        return list(self.answers(asked, choice, self._explainer if why else None))

    def choice(
        self, top_k: int, allowed: Iterable[str] | None = None, owner: str | None = None
    ) -> Choice:
        """Return what answers may hold.

        Parameters
        ----------
        top_k
            How many services; a smaller catalogue is given whole.
        allowed
            Names of the services that may be recommended; None for all.
        owner
            Who asks; None for the owner that a composition says.

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
        if owner is None:
            return Choice(top_k, is_allowed, notes, None)
        number = self.vocabulary.number_of_owner(owner)
        if not self.vocabulary.owners:
            notes.append("owner changes nothing: this model does not read who asks (model.owner).")
        elif number == UNKNOWN_OWNER:
            notes.append(f"owner {owner!r} is none that the model knows.")
        return Choice(top_k, is_allowed, notes, number)

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
        # it is only begun
        items, source, option = read_given(self.run, given, form, needs_link=False)
        return end_queries(items, source, self.naming, on_unknown, after=after, form=option)

    def compositions(self, given: Given, *, needs_link: bool = True) -> Compositions:
        """Yield the compositions of a file, read as in :meth:`composition`."""
        return read_given(self.run, given, "", needs_link=needs_link)[0]

    def answers(
        self, asked: Iterable[Asked], choice: Choice, explain: SaysWhy | None = None
    ) -> Iterator[Answer]:
        """Yield the answer to each question, in order; they are scored together."""
        if (owner := choice.owner) is not None:
            asked = (
                each._replace(owner=owner) if isinstance(each, Query) else each for each in asked
            )
        return recommend(self.model, asked, choice.top_k, choice.allowed, explain)

    @cached_property
    def _explainer(self) -> Explainer | None:
        return self.explainer(True)

    def explainer(self, why: bool, data_path: object = None) -> Explainer | None:
        """Return what says why services are recommended, if that is asked for.

        Parameters
        ----------
        why
            Whether it is.
        data_path
            Where the run's data lie; None for where it has them, if below the working folder.

        Raises
        ------
        ConfigError
            If they are named for nothing.
        """
        if not why and data_path is not None:
            raise ConfigError("data.path is for why=true; add that, or leave data.path out.")
        path = None if data_path is None else user_path(data_path)
        return explainer(self.run, self.model, path, is_final=bool(self.told)) if why else None


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
