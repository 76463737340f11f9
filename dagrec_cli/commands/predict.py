"""``dagrec predict``: the services that a saved model recommends after a context."""

import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from omegaconf import DictConfig, ListConfig

from dagrec_cli.config.build import check_settings
from dagrec_cli.config.kinds import Count
from dagrec_cli.config.where import user_path
from dagrec_cli.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool

    from dagrec_cli.data.naming import Naming
    from dagrec_cli.data.queries import Asked, Unanswerable
    from dagrec_cli.evaluation.recommender import Answer
    from dagrec_cli.runs.run import Run

ASKED = ("context", "input", "composition")
READ_FILES = ("input", "composition", "allowed")
STANDARD = ", or output=null for standard output"


def predict(config: DictConfig) -> None:
    """Write an answer for each context that is asked for."""
    from dagrec_cli.app.output import check_not_input, output_file, write_output
    from dagrec_cli.data.queries import check_answerable
    from dagrec_cli.evaluation.recommender import recommend
    from dagrec_cli.export.recommendations import answer_lines
    from dagrec_cli.runs.model import deployed_model, named_run
    from dagrec_cli.runs.recommend import naming_of

    _check(config)
    path = None if config.output is None else output_file(config.output, STANDARD)
    run = named_run(config.run, "predict", config.trust)
    if path is not None:
        read = [config[key] for key in READ_FILES if isinstance(config[key], str)]
        check_not_input(path, [*map(user_path, read), *run.files])
    model, told = deployed_model(run, config.seed)
    sys.stderr.write(told)
    model.mask = config.mask or model.mask
    naming = naming_of(run, model.facts.vocabulary, config.on_unknown)
    allowed = _allowed(config, naming)
    asked = partial(_asked, config, run, naming, _standard_input(config))
    if config.on_unknown != "skip":
        check_answerable(asked())
    answers = _said(recommend(model, asked(), config.top_k, allowed))
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


def _check(config: DictConfig) -> None:
    from dagrec_cli.data.naming import OnUnknown
    from dagrec_cli.export.recommendations import Form
    from dagrec_cli.models.base import PlainMask

    check_settings(
        config,
        run=Any,
        trust=Any,
        **dict.fromkeys(ASKED, Any),
        top_k=Count,
        allowed=Any,
        on_unknown=OnUnknown,
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


def _allowed(config: DictConfig, naming: "Naming") -> 'Bool[np.ndarray, " services"]':
    """Return which services may be recommended, given as a list or as a file with one a line.

    Names of none are said, and if there are fewer than are asked for.
    """
    from dagrec_cli.data.invalid import plural
    from dagrec_cli.data.naming import allowed_services

    names = config.allowed
    if isinstance(names, ListConfig):
        names = list(map(str, names))
    elif names is not None:
        names = _lines(names, "allowed")
    allowed, others = allowed_services(names, naming)
    sys.stderr.write(others and f"{others}.\n")
    if (n_services := int(allowed.sum())) < config.top_k:
        few = plural(n_services, "service")
        sys.stderr.write(f"top_k is {config.top_k}, but only {few} can be ranked.\n")
    return allowed


def _lines(name: object, setting: str) -> list[str]:
    """Return the lines of a file of text, but for blank ones."""
    from dagrec_cli.data.files import opened

    file = _existing_file(name, setting)
    with opened(file) as lines:
        try:
            return [text for line in lines if (text := line.decode("utf-8-sig").strip())]
        except UnicodeDecodeError as error:
            raise DataError(f"{file}: not UTF-8 ({error.reason}); write it as UTF-8.") from error


def _standard_input(config: DictConfig) -> Iterable[bytes] | None:
    """Return the lines of standard input if it is asked about; read at once unless skipping."""
    if config.input != "-":
        return None
    return sys.stdin.buffer if config.on_unknown == "skip" else sys.stdin.buffer.readlines()


def _asked(
    config: DictConfig, run: "Run", naming: "Naming", lines: Iterable[bytes] | None
) -> "Iterator[Asked]":
    from dagrec_cli.data.files import opened
    from dagrec_cli.data.queries import query_of, read_queries, sink_queries
    from dagrec_cli.runs.recommend import reader_of

    if config.context is not None:
        given = config.context
        names = list(given) if isinstance(given, ListConfig) else [given]
        yield query_of([str(name) for name in names], naming)
    elif lines is not None:
        yield from read_queries(lines, naming)
    elif config.input is not None:
        with opened(_existing_file(config.input, "input")) as lines:
            yield from read_queries(lines, naming)
    else:
        file = _existing_file(config.composition, "composition")
        yield from sink_queries(reader_of(run, file), naming)


def _said(answers: "Iterable[Answer | Unanswerable]") -> "Iterator[Answer | Unanswerable]":
    """Yield answers, and say in the end how many there are not."""
    from dagrec_cli.data.queries import Unanswerable

    n = {True: 0, False: 0}
    for answer in answers:
        n[isinstance(answer, Unanswerable)] += 1
        yield answer
    if n[True]:
        sys.stderr.write(f"{n[True]:,} of {sum(n.values()):,} have no answer but an error.\n")


def _existing_file(name: object, setting: str) -> Path:
    path = user_path(name)
    if not os.path.isfile(path):
        there = "no file" if os.path.exists(path) else "no such file"
        raise DataError(f"{path}: {there}; name one with {setting}=FILE.")
    return path
