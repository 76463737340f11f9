"""Annotations of a class's settings, read from its source: importing it may take torch along.

Help needs them for the ranges of settings. ``config/build.py`` has them from the class itself, and
a test holds both equal for every option.
"""

import ast
import builtins
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

IMPORTED = ("collections.", "dagrec_cli.config.", "msgspec", "typing")  # nothing heavy


@cache
def annotations_of(target: str) -> dict[str, Any]:
    """Return the settings of ``package.module.Class`` and their annotations, without importing it.

    What its source does not say in so many words is left out; of no class there is nothing.
    """
    module, _, name = target.rpartition(".")
    found: dict[str, Any] = {}
    try:
        nodes = _source(module).settings(name)
    except (ImportError, OSError, SyntaxError, KeyError, ValueError):
        return {}
    for setting, (source, node) in nodes.items():
        try:
            found[setting] = source.value(node)
        except Exception:  # whatever the user's own code has there
            continue
    return found


class _Source(dict[str, Any]):
    """What names stand for in a module, each looked up when it is asked for."""

    def __init__(self, module: str) -> None:
        package, *inside = module.split(".")
        spec = find_spec(package)  # that of a submodule would run the package
        if spec is None or spec.origin is None:
            raise ImportError(module)
        file = Path(spec.origin)
        if inside:
            file = file.parent.joinpath(*inside).with_suffix(".py")
        self.package = package
        self.classes: dict[str, ast.ClassDef] = {}
        self.assigned: dict[str, ast.expr] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            match node:
                case ast.ClassDef():
                    self.classes[node.name] = node
                case ast.Assign(targets=[ast.Name(name)], value=value):
                    self.assigned[name] = value
                case ast.AnnAssign(target=ast.Name(name), value=ast.expr() as value):
                    self.assigned[name] = value
                case ast.ImportFrom(module=str(origin)):
                    self.imported |= {a.asname or a.name: (origin, a.name) for a in node.names}

    def value(self, node: ast.expr) -> Any:
        """Return what an expression stands for."""
        return eval(compile(ast.Expression(node), "annotation", "eval"), {}, self)

    def __missing__(self, name: str) -> Any:
        if name in self.assigned:
            found = self.value(self.assigned[name])
        elif name in self.imported:
            found = self._imported(*self.imported[name])
        else:
            found = _stand_in(name) if name in self.classes else vars(builtins)[name]
        self[name] = found
        return found

    def _imported(self, origin: str, name: str) -> Any:
        if f"{origin}.".startswith(IMPORTED):
            return getattr(import_module(origin), name)
        is_read = origin.partition(".")[0] in (self.package, "dagrec_cli")
        return _source(origin)[name] if is_read else _stand_in(name)

    def settings(self, name: str) -> dict[str, tuple["_Source", ast.expr]]:
        """Return a class's settings with their annotations, and whose names these use.

        They are the constructor's keyword-only parameters, or a dataclass's fields. A constructor
        that takes ``**settings`` hands them to its parent, whose settings then count too.
        """
        if name in self.imported:
            origin, there = self.imported[name]
            return _source(origin).settings(there)
        node = self.classes[name]
        made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        found: dict[str, tuple[_Source, ast.expr]] = {}
        if not made or made[0].args.kwarg:
            for base in (base.id for base in node.bases if isinstance(base, ast.Name)):
                is_read = base in self.classes or base in self.imported
                found |= self.settings(base) if is_read and base != "ABC" else {}
        pairs = [(a.arg, a.annotation) for init in made for a in init.args.kwonlyargs]
        if node.decorator_list:
            fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
            pairs += [(f.target.id, f.annotation) for f in fields if isinstance(f.target, ast.Name)]
        return found | {key: (self, kind) for key, kind in pairs if kind is not None}


def _stand_in(name: str) -> type:
    """Return what stands for a class or function that no annotation looks into."""
    return type(name, (), {"__init__": lambda *args, **settings: None})


_source = cache(_Source)
