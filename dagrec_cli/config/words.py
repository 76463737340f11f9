"""Names and paths on the command line, as they are typed.

Hydra's grammar reads ``1_1_1`` as 111, ``1e5`` as 100000.0 and ``nan`` as a number, and refuses
``~``, ``#`` and letters that are not Latin. So before Hydra sees a setting that holds a name or a
path, what it would take for something else is put in quotes. Brackets, quotes, escapes, ``${…}``,
``choice(…)`` and values with commas between them keep Hydra's meaning, and so does ``null`` alone;
but a file or folder that lies there is meant, whatever its name (``run=s1/model=backoff,seed=0``).
"""

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from dagrec_cli.config.gru4rec_params import PARAMS, settings_of_params
from dagrec_cli.config.where import CONFIG_FLAGS, IN_BRACES, config_dir, expanded, variable

TEXT_SETTINGS = {  # settings that are names or paths, or lists of them
    *("after", "allowed", "bench", "by", "chosen", "composition", "context", "host"),
    *("input", "name", "output", "owner", "run", "runs", "trust"),
    *("data.default_path", "data.path", "data.download.file", "data.download.url"),
    *("data.columns", "data.end_key", "data.owner_key", "data.service_key"),
    *("data.table_prefix", "data.time_key"),
    *("data.download.sha256", "logger.experiment", "logger.uri"),
    *("hydra.job.name", "hydra.run.dir", "hydra.searchpath", "hydra.sweep.dir"),
    *("hydra.sweep.subdir", "hydra.sweeper.folder", "hydra.sweeper.storage"),
    *("hydra.sweeper.study_name", "hydra.launcher.submitit_folder"),
}
FOLDERS = ("hydra.run.dir", "hydra.sweep.dir", "hydra.sweeper.folder")  # that Hydra itself makes
CHOOSING = ("choice", "shuffle", "sort", "tag")  # functions of values that stay as they are
# What lies there is meant, whatever its name.
READ = ("allowed", "composition", "data.path", "input", "run")
WITH_TEXTS = {key.rpartition(".")[0] for key in TEXT_SETTINGS}  # such as data.download={file:…}
_WORD = re.compile(r"(\+{0,2})([\w.$/-]+)=(.*)", re.S)
_LITERAL = re.compile(  # no name or path without one of them needs a closer look
    r"(?i)\d|nan|inf|true|false|null|[^\w\s/.,:$%*@?|{}\[\]()+-]|[^\x00-\x7f]|[(){}]"
)
_PLAIN = re.compile(r"(?!(?i:nan|inf|true|false|null)$)[A-Za-z_/][\w/.-]*")  # Hydra keeps it
_ITEM = re.compile(r"""\s*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^,]*?)\s*(,|$)""", re.S)


def typed(words: Iterable[str]) -> list[str]:
    """Return words of the command line as Hydra is to read them; a parameter string is spelled out.

    Raises
    ------
    ConfigError
        If a parameter string is wrong.
    """
    spelled: list[str] = []
    before = ""
    for word in words:
        key, equals, text = word.partition("=")
        if key == PARAMS:
            spelled += settings_of_params(text)
        elif key in CONFIG_FLAGS and equals:
            spelled.append(f"{key}={expanded(text)}")
        else:
            spelled.append(expanded(word) if before in CONFIG_FLAGS else as_typed(word))
        before = word
    return spelled


def as_typed(word: str) -> str:
    """Return an override that Hydra reads as it is typed; any other word is returned as it is."""
    key, _, text = word.partition("=")
    if key in READ and not _PLAIN.fullmatch(text) and os.path.exists(os.path.expanduser(text)):
        return f"{key}={quoted(text)}"
    if key in FOLDERS:
        word = f"{key}={expanded(text)}"
    elif key in TEXT_SETTINGS:  # Hydra would look it up in the config
        word = f"{key}={IN_BRACES.sub(variable, text)}"
    parts = _WORD.fullmatch(word)
    if not parts or not _is_text(parts[2]) or not _LITERAL.search(parts[3]):
        return word
    from hydra.errors import HydraException

    plus, key, value = parts.groups()
    if _is_group(key) and value.startswith("["):  # which Hydra has a meaning of its own for
        return word
    try:
        tree = _parse_tree(f"{key}={value}")
    except HydraException:
        return f"{plus}{key}={_taken_whole(value)}"
    begin = len(key) + 1
    for start, stop, text in reversed(list(_misread(tree.value(), key))):
        value = f"{value[: start - begin]}{text}{value[stop - begin :]}"
    return f"{plus}{key}={value.strip()}"  # Hydra takes no space after a quote


def is_path(word: str) -> bool:
    """Return whether a word names a folder rather than a setting, there or not."""
    key, equals, _ = word.partition("=")
    is_group = key.startswith("hydra/")
    return not equals or ("/" in key and not is_group) or os.path.isdir(os.path.expanduser(word))


def quoted(text: str) -> str:
    """Return a text as a quoted value of Hydra's grammar, in which nothing is looked up."""
    # A backslash would undo the one that keeps ${ from being looked up, unless it is doubled.
    return _in_quotes(re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text))


def _in_quotes(text: str) -> str:
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text, Quote.single).with_quotes()


def _is_text(key: str) -> bool:
    return key in TEXT_SETTINGS or key in WITH_TEXTS or _is_group(key)


def _is_group(key: str) -> bool:
    return "." not in key and (key.startswith("hydra/") or os.path.isdir(config_dir() / key))


def _parse_tree(word: str) -> Any:
    """Return Hydra's parse tree of an override.

    Raises
    ------
    HydraException
        If the word does not follow the grammar.
    """
    from antlr4 import CommonTokenStream, InputStream
    from hydra.core.override_parser.overrides_visitor import HydraErrorListener
    from hydra.grammar.gen.OverrideLexer import OverrideLexer
    from hydra.grammar.gen.OverrideParser import OverrideParser

    lexer = OverrideLexer(InputStream(word))
    parser: Any = OverrideParser(CommonTokenStream(lexer))
    for recognizer in (lexer, parser):
        recognizer.removeErrorListeners()
        recognizer.addErrorListener(HydraErrorListener())
    return parser.override()


def _misread(node: Any, key: str, inside: str = "") -> Iterator[tuple[int, int, str]]:
    """Yield where texts begin and end that Hydra would take for something else, and their quotes.

    Parameters
    ----------
    inside
        What is around the node: ``list``, ``function`` or nothing.
    """
    from hydra.grammar.gen.OverrideParser import OverrideParser as Grammar

    if isinstance(node, Grammar.PrimitiveContext):
        if key in TEXT_SETTINGS or _is_group(key):
            yield from _literal(node, inside)
        return
    if isinstance(node, Grammar.FunctionContext):
        if node.getChild(0).getText() not in CHOOSING:
            return
        inside = "function"
    elif isinstance(node, Grammar.DictKeyValuePairContext):
        key, inside = f"{key}.{node.getChild(0).getText().strip()}", ""
    elif isinstance(node, Grammar.ListContainerContext):
        inside = "list"
    for child in getattr(node, "children", None) or ():
        yield from _misread(child, key, inside)


def _literal(primitive: Any, inside: str) -> Iterator[tuple[int, int, str]]:
    from hydra.grammar.gen.OverrideLexer import OverrideLexer as Kinds

    kinds = [Kinds.INT, Kinds.FLOAT, Kinds.BOOL]
    kinds += {"list": [Kinds.NULL], "function": [Kinds.QUOTED_VALUE]}.get(inside, [])
    tokens = [child.symbol for child in primitive.children if child.symbol.type != Kinds.WS]
    if len(tokens) != 1 or tokens[0].type not in kinds:
        return
    text = tokens[0].text
    if tokens[0].type != Kinds.QUOTED_VALUE:
        text = _in_quotes(text)
    elif not re.fullmatch(r".[\w.+-]*.", text):
        return
    # a function takes one pair of quotes off, and hands the rest on to be read again
    yield tokens[0].start, tokens[0].stop + 1, _in_quotes(text) if inside == "function" else text


def _taken_whole(value: str) -> str:
    """Return a value that does not follow the grammar with its texts in quotes, if it is clear."""
    is_list = value.startswith("[") and value.endswith("]")
    inside = value[1:-1] if is_list else value
    if re.search(r"[\[\]{}]", re.sub(r"\$\{[^{}]*\}", "", inside)):
        return value
    texts, end = [], 0
    for item in _ITEM.finditer(inside):
        texts.append(item[1] if item[1][:1] in ("'", '"') else _in_quotes(item[1]))
        end = item.end()
        if not item[2]:
            break
    if end < len(inside) or not all(texts):
        return value
    joined = ",".join(texts)
    return f"[{joined}]" if is_list else joined
