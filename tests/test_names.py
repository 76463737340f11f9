"""A top-level name of the package means one thing, wherever it stands."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import dagrec_cli

PACKAGE = Path(dagrec_cli.__file__).parent
MOST = 10
SEVERAL = {  # names with several definitions, and why each is one word
    "main": "what a program or a verb begins with",
    "train": "the verb, and its function in Python",
    "compare": "the verb, and its function in Python",
    "evaluate": "the verb, and what it does to outcomes",
    "export": "the verbs dagrec export and dagrec data export",
}


def definitions(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield names with what they are defined as, also those that a condition stands before."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, ast.dump(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            meaning = ast.dump(node.value) if node.value else ""
            yield from ((name, meaning) for name in assigned(node))
        elif isinstance(node, ast.If | ast.Try):
            yield from definitions([*node.body, *node.orelse])


def assigned(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    parts = (part for target in targets for part in ast.walk(target))
    return [part.id for part in parts if isinstance(part, ast.Name)]


def test_a_name_means_one_thing() -> None:
    meanings: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for file in sorted(PACKAGE.rglob("*.py")):
        for name, meaning in definitions(ast.parse(file.read_text()).body):
            meanings[name][meaning].append(file.relative_to(PACKAGE).as_posix())
    several = {
        name: sorted({file for files in by_meaning.values() for file in files})
        for name, by_meaning in meanings.items()
        if len(by_meaning) > 1
    }
    several = {name: files for name, files in several.items() if len(files) > 1}
    assert {name: files for name, files in several.items() if name not in SEVERAL} == {}
    assert several.keys() == SEVERAL.keys()  # or one has gone
    assert len(several) <= MOST
    assert {"__version__", "COMMANDS", "Composition", "_FOLDERS"} <= meanings.keys()
