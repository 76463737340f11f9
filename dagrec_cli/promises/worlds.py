"""Small data on which promises are asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from dagrec_cli.data.composition import (
    PREFIX_SERVICE,
    PREFIX_TABLE,
    Composition,
    Context,
    Invalid,
)
from dagrec_cli.data.dataset import Dataset, build_dataset

PREFIX = {"t": PREFIX_TABLE, "s": PREFIX_SERVICE}
BRANCHING = (  # chains, branches, a repetition, a service called twice, a table inside
    ("t1 s7 s2",),
    ("t1 s7 s2",),
    ("t2 s7 s3",),
    ("t1 s2",),
    ("t2 s3 s4",),
    ("t1 s7 s2 s4", "s7 s3 s4"),
    ("t1 s3 s5", "t2 s3"),
    ("s6 s7 s7' s2",),
    ("t2 s4 t3 s5",),
    ("t1 s7 s5", "t1 s4", "s7 s2"),
    ("t3 s5 s4",),
)
CHAINS = tuple((f"t{k} s{k} s{k + 5}",) for k in range(1, 6))  # of one shape, all else differs
MERGES = (("t1 s1 s2", "t2 s1"), ("t1 s1 s3", "t3 s1"))  # one last node, one common parent
STRANGE = ("service_5 table_1 service_5", "service_6 service_4", "service_2 " * 5)  # to BRANCHING


def composition_of(*walks: str, time: float | None = None) -> Composition:
    """Return the composition of walks such as ``"t1 s1 s2"``; ``s1'`` is another call of s1."""
    steps = [walk.split() for walk in walks]
    nodes = list(dict.fromkeys(node for walk in steps for node in walk))
    links = dict.fromkeys(
        (nodes.index(a), nodes.index(b)) for walk in steps for a, b in pairwise(walk)
    )
    return Composition(
        tuple(PREFIX[node[0]] + node[1:].strip("'") for node in nodes),
        tuple(node[0] == "s" for node in nodes),
        tuple(links),
        start_time=time,
    )


@dataclass
class Records:
    """Compositions in memory, as a source."""

    compositions: list[Composition | Invalid]
    context: Context = "path"
    max_paths: int = 1000
    on_invalid: str = "error"

    def read(self) -> Iterator[Composition | Invalid]:
        """Yield them."""
        return iter(self.compositions)

    def sha256(self) -> str:
        """Return a hash that nothing looks at."""
        return "none"


@cache
def dataset_of(drawn: tuple[tuple[str, ...], ...], context: Context = "path") -> Dataset:
    """Return a data set of compositions, each as its walks."""
    return build_dataset(Records([composition_of(*walks) for walks in drawn], context))
