"""Imports run down one list, and what should only compute does nothing else."""

import ast
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import dagrec_cli

PACKAGE = Path(dagrec_cli.__file__).parent
FILES = {
    file.relative_to(PACKAGE).with_suffix("").as_posix(): file for file in PACKAGE.rglob("*.py")
}
PAGE = (PACKAGE.parent / ".github/ARCHITECTURE.md").read_text()

RANK = {  # a part may import itself and parts of a greater rank
    "__main__": 0,
    "__init__": 1,  # what Python calls
    "cli": 1,
    "commands": 2,
    "promises": 3,
    "jobs": 4,
    "app": 5,
    "experiment": 6,
    "reporting": 7,
    "loggers": 8,
    "export": 8,
    "serving": 8,
    "runs": 9,
    "training": 10,
    "evaluation": 11,
    "losses": 12,
    "samplers": 12,
    "models": 13,
    "data": 14,
    "config": 15,
    "errors": 16,
    "__version__": 17,
}
PURE = ("models/", "losses/", "samplers/", "evaluation/metrics")
IMPURE_MODULES = {"io", "json", "logging", "os", "pathlib", "pickle", "random", "sys", "warnings"}
IMPURE_CALLS = {"exec", "input", "load", "manual_seed", "open", "print", "save", "seed"}


def part_of(name: str) -> str:
    return name.split("/")[0]


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text())


def imports_of(name: str) -> list[str]:
    """Return the dotted names that a file imports, wherever in the file."""
    imported = []
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            imported += [f"{module}.{alias.name}" for alias in node.names]
    return imported


def parts_imported(name: str) -> set[str]:
    inside = [names.split(".")[1] for names in imports_of(name) if names.startswith("dagrec_cli.")]
    return {part if part in RANK else "__init__" for part in inside}


def test_every_part_has_its_place_in_the_list() -> None:
    assert {part_of(name) for name in FILES} <= set(RANK)


def test_the_page_names_every_part_in_its_order() -> None:
    first_cells = re.findall(r"^\| (`[^|]+)", PAGE[: PAGE.index("## From")], re.MULTILINE)
    named = re.findall(r"`(\w+)(?:/|\.py)`", " ".join(first_cells))
    assert set(named) == {part_of(name) for name in FILES}
    assert named == sorted(named, key=RANK.__getitem__)


def test_what_the_page_names_is_there() -> None:
    names = set(re.findall(r"(?<![\w/.])[a-z_]+/[\w/.]*\w(?:/|\.py)|[a-z_]+/", PAGE))
    names -= {"checkpoints/", "final/", "tensorboard/"}  # which a run folder has
    places = {name: re.sub(r"NAME\.py|GROUP/", "", name) for name in names}
    roots = (PACKAGE, PACKAGE.parent)
    missing = [k for k, place in places.items() if not any((r / place).exists() for r in roots)]
    assert missing == []
    assert {"training/step.py", "tests/models/test_promises.py"} <= names


def test_imports_run_down_the_list() -> None:
    upward = [
        f"{name} imports {part}"
        for name in FILES
        for part in parts_imported(name) - {part_of(name)}
        if RANK[part] <= RANK[part_of(name)]
    ]
    assert upward == []


def test_no_file_imports_itself_by_way_of_others() -> None:
    """Inside parts too, and wherever in a file the import stands."""
    modules = {name.removesuffix("/__init__").replace("/", "."): name for name in FILES}
    imported = {
        name: {
            modules[dotted]
            for names in imports_of(name)
            if names.startswith("dagrec_cli.")
            for dotted in (names[11:], names[11:].rpartition(".")[0])
            if dotted in modules
        }
        for name in FILES
    }
    assert imported["cli"]
    TopologicalSorter(imported).prepare()  # raises CycleError, which names the files


def test_training_does_not_know_of_evaluation() -> None:
    training = [name for name in FILES if part_of(name) == "training"]
    assert [name for name in training if "evaluation" in parts_imported(name)] == []
    assert "training/trainer" in training


def test_no_import_is_relative() -> None:
    assert [name for name in FILES if any(m.startswith(".") for m in imports_of(name))] == []


def test_files_are_short() -> None:
    lengths = {name: len(file.read_text().splitlines()) for name, file in FILES.items()}
    assert [name for name, length in lengths.items() if length > 300] == []


def test_what_computes_does_not_read_write_log_or_seed() -> None:
    pure = [name for name in FILES if name.startswith(PURE)]
    impure = [
        f"{name} imports {module}"
        for name in pure
        for module in imports_of(name)
        if module.split(".")[0] in IMPURE_MODULES
    ] + [
        f"{name}:{node.lineno} calls {called}"
        for name in pure
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.Call)
        and (called := getattr(node.func, "id", getattr(node.func, "attr", ""))) in IMPURE_CALLS
    ]
    assert impure == []
    assert {"models/base", "losses/ce", "samplers/uniform", "evaluation/metrics"} <= set(pure)


def test_every_protocol_can_be_asked_for() -> None:
    """``isinstance`` and the tests' shape checker need ``@runtime_checkable``."""
    protocols = {
        f"{name}.{node.name}": [getattr(each, "id", "") for each in node.decorator_list]
        for name in FILES
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.ClassDef)
        and "Protocol" in [getattr(base, "id", "") for base in node.bases]
    }
    assert [name for name, marks in protocols.items() if "runtime_checkable" not in marks] == []
    assert "data/composition.Source" in protocols
