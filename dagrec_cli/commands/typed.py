"""Paths on the command line, taken as they were typed.

Hydra reads values by a grammar of its own: ``run=s1/model=backoff,seed=0``, a folder that Hydra
itself named, are two values to it, and ``run=2024_01`` is a number. What exists is a path.
"""

import os
import re

PATHS = ("run", "input", "composition", "data.path")  # settings that name what is read


def as_typed(word: str) -> str:
    """Return a word, its value quoted for Hydra if it is one of :data:`PATHS` and lies there."""
    key, _, text = word.partition("=")
    is_there = key in PATHS and os.path.exists(os.path.expanduser(text))
    return f"{key}={quoted(text)}" if is_there else word


def is_path(word: str) -> bool:
    """Return whether a word names a folder rather than a setting, there or not."""
    key, equals, _ = word.partition("=")
    is_group = key.startswith("hydra/")
    return not equals or ("/" in key and not is_group) or os.path.isdir(os.path.expanduser(word))


def quoted(text: str) -> str:
    """Return a text as a quoted value of Hydra's grammar, in which nothing is looked up."""
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return "'" + escaped.replace("${", r"\${") + "'"
