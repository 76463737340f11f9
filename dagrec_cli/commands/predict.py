"""``dagrec predict``: the services that a saved model recommends after a context."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from dagrec_cli.config.build import build, check_settings
from dagrec_cli.config.kinds import Count
from dagrec_cli.config.where import options, user_path
from dagrec_cli.errors import ConfigError, DataError

if TYPE_CHECKING:
    from dagrec_cli.data.queries import Query
    from dagrec_cli.data.vocabulary import Vocabulary
    from dagrec_cli.runs.run import Run

ASKED = ("context", "input", "composition")
STANDARD = ", or output=null for standard output"


def predict(config: DictConfig) -> None:
    """Write an answer for each context that is asked for."""
    from dagrec_cli.app.output import check_not_input, output_file, write_output
    from dagrec_cli.evaluation.recommender import recommend
    from dagrec_cli.export.recommendations import Form, answer_lines
    from dagrec_cli.models.base import PlainMask
    from dagrec_cli.runs.model import deployed_model, named_run

    check_settings(
        config,
        run=Any,
        trust=Any,
        **dict.fromkeys(ASKED, Any),
        top_k=Count,
        mask=PlainMask | None,
        seed=Any,
        format=Form,
        output=Any,
    )
    if sum(config[key] is not None for key in ASKED) != 1:
        raise ConfigError(
            "ask for one thing: context=[NODE,NODE], input=FILE (- for standard input), or "
            "composition=FILE."
        )
    path = None if config.output is None else output_file(config.output, STANDARD)
    run = named_run(config.run, "predict", config.trust)
    if path is not None:
        asked = [user_path(name) for name in (config.input, config.composition) if name is not None]
        check_not_input(path, [*asked, *run.files])
    model, told = deployed_model(run, config.seed)
    sys.stderr.write(told)
    if config.mask is not None:
        model.mask = config.mask
    answers = recommend(model, _queries(config, run, model.facts.vocabulary), config.top_k)
    form = config.format
    if form == "auto":
        form = "table" if path is None and sys.stdout.isatty() else "json"
    if path is None:
        for text in answer_lines(answers, form):
            sys.stdout.write(text)
        return

    def fill(file: IO[bytes]) -> None:
        file.writelines(text.encode() for text in answer_lines(answers, form))

    write_output(path, fill)


def _queries(config: DictConfig, run: "Run", vocabulary: "Vocabulary") -> "Iterator[Query]":
    from dagrec_cli.data.files import opened
    from dagrec_cli.data.queries import query_of, read_queries, sink_queries

    if config.context is not None:
        given = config.context
        names = list(given) if isinstance(given, ListConfig) else [given]
        yield query_of([str(name) for name in names], vocabulary)
    elif config.input == "-":
        yield from read_queries(sys.stdin.buffer, vocabulary)
    elif config.input is not None:
        with opened(_existing_file(config.input, "input")) as lines:
            yield from read_queries(lines, vocabulary)
    else:
        path = str(_existing_file(config.composition, "composition"))
        learnt_from = run.config.get("data")  # before there was a choice, from paths
        context = learnt_from.get("context", "path") if isinstance(learnt_from, dict) else "path"
        given = {"path": path, "context": context}
        node = OmegaConf.create({**options("data")["compositions"], **given})
        yield from sink_queries(build(node, "data"), vocabulary)


def _existing_file(name: object, setting: str) -> Path:
    path = user_path(name)
    if not os.path.isfile(path):
        there = "no file" if os.path.exists(path) else "no such file"
        raise DataError(f"{path}: {there}; name one with {setting}=FILE.")
    return path
