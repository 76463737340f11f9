"""``dagrec predict``: the services that a saved model recommends after a context."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from omegaconf import DictConfig, ListConfig, OmegaConf

from dagrec_cli.config.build import check_settings
from dagrec_cli.config.kinds import Count
from dagrec_cli.config.where import user_path
from dagrec_cli.errors import ConfigError, DataError

if TYPE_CHECKING:
    from dagrec_cli.data.queries import Asked
    from dagrec_cli.evaluation.recommender import Answer
    from dagrec_cli.runs.recommend import Recommender

ASKED = ("context", "input", "composition")
READ_FILES = ("input", "composition", "allowed")
DRAWN = (".png", ".svg")
STANDARD = ", or output=null for standard output"


def predict(config: DictConfig) -> None:
    """Write an answer for each context that is asked for."""
    from dagrec_cli.app.output import check_replaces, output_file, write_output
    from dagrec_cli.data.queries import check_answerable
    from dagrec_cli.export.recommendations import answer_lines
    from dagrec_cli.runs.model import named_run
    from dagrec_cli.runs.recommend import Recommender

    _check(config)
    path = None if config.output is None else output_file(config.output, STANDARD)
    is_auto = config.format == "auto"
    is_picture = is_auto and path is not None and path.suffix in DRAWN
    if is_picture and config.input is not None:
        raise ConfigError(
            f"output is {config.output!r}, but a picture shows one composition; give composition= "
            "or context= in the place of input=, or output=FILE.jsonl."
        )
    run = named_run(config.run, "predict", config.trust)
    if path is not None:
        read = [config[key] for key in READ_FILES if isinstance(config[key], str)]
        check_replaces(path, [*map(user_path, read), *run.files], asked=config.overwrite)
    recommender = Recommender(run, config.seed, config.mask)
    explain = recommender.explainer(config.why, OmegaConf.select(config, "data.path"))
    choice = recommender.choice(config.top_k, _allowed(config), config.owner)
    sys.stderr.write(recommender.told + "".join(f"{note}\n" for note in choice.notes))
    asked = partial(_asked, config, recommender, _standard_input(config))
    if config.on_unknown != "skip":
        check_answerable(asked(), recommender.vocabulary)
    answers = _said(recommender.answers(asked(), choice, explain))
    if path is None:
        form = ("table" if sys.stdout.isatty() else "json") if is_auto else config.format
        for text in answer_lines(answers, form):
            sys.stdout.write(text)
        return

    def fill(file: IO[bytes]) -> None:
        if is_picture:
            from dagrec_cli.reporting.plots.completion import draw_answers

            given = config.composition and user_path(config.composition)
            names = given or _names_in(config.context)
            picture = draw_answers(recommender, names, list(answers))
            file.write(picture.drawn("svg" if path.suffix == ".svg" else "png"))
        else:
            form = "json" if is_auto else config.format
            file.writelines(text.encode() for text in answer_lines(answers, form))

    write_output(path, fill)


def _check(config: DictConfig) -> None:
    from dagrec_cli.data.naming import OnUnknown
    from dagrec_cli.export.recommendations import Form
    from dagrec_cli.models.base import PlainMask

    check_settings(
        config,
        *("run", "trust", *ASKED, "after", "allowed", "data", "seed", "output"),
        top_k=Count,
        owner=str | None,
        on_unknown=OnUnknown,
        why=bool,
        mask=PlainMask | None,
        format=Form,
        overwrite=bool,
    )
    if sum(config[key] is not None for key in ASKED) != 1:
        raise ConfigError(
            "ask for one thing: context=[NODE,NODE], input=FILE (- for standard input), or "
            "composition=FILE."
        )
    if config.after is not None and config.composition is None:
        raise ConfigError("after names nodes of a composition; give composition=FILE with it.")


def _allowed(config: DictConfig) -> list[str] | None:
    """Return the names that are allowed, given as a list or as a file with one a line."""
    names = config.allowed
    if names is None:
        return None
    return list(map(str, names)) if isinstance(names, ListConfig) else _lines(names, "allowed")


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
    config: DictConfig, recommender: "Recommender", lines: Iterable[bytes] | None
) -> "Iterator[Asked]":
    from dagrec_cli.data.files import opened

    on_unknown = config.on_unknown
    if config.context is not None:
        yield recommender.context(_names_in(config.context), on_unknown)
    elif lines is not None:
        yield from recommender.lines(lines, on_unknown)
    elif config.input is not None:
        with opened(_existing_file(config.input, "input")) as lines:
            yield from recommender.lines(lines, on_unknown)
    else:
        file = _existing_file(config.composition, "composition")
        yield from recommender.composition(file, on_unknown, _names_in(config.after))


def _names_in(given: object) -> list[str]:
    """Return what a setting lists, or the one thing it is."""
    if given is None:
        return []
    return [str(name) for name in given] if isinstance(given, ListConfig) else [str(given)]


def _said(answers: "Iterable[Answer]") -> "Iterator[Answer]":
    """Yield answers, and say in the end how many there are not."""
    n = Counter[bool]()
    for answer in answers:
        n[bool(answer.error)] += 1
        yield answer
    if n[True]:
        sys.stderr.write(f"{n[True]:,} of {n.total():,} have no answer but an error.\n")


def _existing_file(name: object, setting: str) -> Path:
    path = user_path(name)
    if not os.path.isfile(path):
        there = "no file" if os.path.exists(path) else "no such file"
        raise DataError(f"{path}: {there}; name one with {setting}=FILE.")
    return path
