"""Recommendations of a run: what is asked is read as the data were that its model learnt from."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import build
from dagrec_cli.config.deciding import Effect, effect
from dagrec_cli.config.untrusted import checked_node
from dagrec_cli.config.where import PACKAGE, options
from dagrec_cli.data.composition import Source
from dagrec_cli.data.files import opened
from dagrec_cli.data.naming import Naming, OnUnknown, allowed_services
from dagrec_cli.data.queries import check_answerable, query_of
from dagrec_cli.data.readers.formats import START, likely_option
from dagrec_cli.data.vocabulary import Vocabulary
from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.evaluation.recommender import Answer, Recommendation, recommend
from dagrec_cli.models.base import Model
from dagrec_cli.runs.folder import CONFIG, LOGGER
from dagrec_cli.runs.run import Run

UNLIKE_ANY = "compositions"  # what reads a file that looks like none of the formats


def naming_of(run: Run, vocabulary: Vocabulary, on_unknown: OnUnknown = "error") -> Naming:
    """Return the names that a run's model knows, and those that its reader gives to services."""

    @cache
    def service_name() -> Callable[[str], str]:  # few names need it
        try:
            reader = build(_data(run), "data")
        except (ConfigError, RunError):  # of others, whose code is not trusted
            return str
        return getattr(reader, "service_name", str)

    return Naming(vocabulary, lambda name: service_name()(name), on_unknown)


def recommendations(
    run: Run,
    model: Model,
    contexts: Iterable[Iterable[str]],
    top_k: int,
    allowed: Iterable[str] | None,
) -> list[list[Recommendation]]:
    """Return what is recommended after contexts given as names; names not allowed are logged.

    Raises
    ------
    DataError
        If a context is none, or nothing is allowed.
    """
    naming = naming_of(run, model.facts.vocabulary)
    chosen, others = allowed_services(allowed, naming)
    if others:
        LOGGER.warning("%s", others)
    names = (context if isinstance(context, str) else list(context) for context in contexts)
    asked = [query_of(each, naming, f"contexts[{n}]") for n, each in enumerate(names)]
    check_answerable(asked)
    answers = recommend(model, asked, top_k, chosen)
    return [answer.services for answer in answers if isinstance(answer, Answer)]


def reader_of(run: Run, file: Path) -> Source:
    """Return what reads a file of compositions to be completed.

    That is the run's own reader where the file is of its format, or of none that is known; else the
    reader of that format. Contexts are of the kind that the model learnt from.

    Raises
    ------
    DagrecError
        If the file cannot be read, or the run's own reader must not be built.
    """
    with opened(file) as content:
        like = options("data").get(likely_option(content.read(START)))
    own = _data(run)
    is_others = not own._target_.startswith(f"{PACKAGE.name}.")
    if "path" in own and (is_others or like is None or like["_target_"] == own._target_):
        node = own
    else:  # before there was a choice of contexts, they were paths
        node = OmegaConf.create(like or options("data")[UNLIKE_ANY])
        node.context = own.get("context", "path")
    node.path = str(file)
    source: Source = build(node, "data", kind=Source)
    return source


def _data(run: Run) -> DictConfig:
    """Return the run's data group without what it read; see :func:`checked_node`."""
    node = run.config.get("data")
    if isinstance(node, dict):
        is_place = {key for key in node if effect(f"data.{key}") is Effect.PLACE}
        node = {key: None if key in is_place else value for key, value in node.items()}
    return checked_node({"data": node}, "data", run.path / CONFIG, run.packages)
