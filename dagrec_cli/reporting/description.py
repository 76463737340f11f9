"""What a data set holds, and what its split leaks, as counts under headings."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.held_out import HeldOut
from dagrec_cli.data.invalid import count_dropped, summarise
from dagrec_cli.data.splits import Split, leakage

COMMON_CLASSES = 15


@dataclass(frozen=True)
class Description:
    """Counts of a data set; every mapping goes from a value to how often it occurs."""

    compositions: int
    left_out: str
    dropped: dict[str, int]
    paths: int
    distinct_paths: int
    pairs: int
    distinct_pairs: int
    distinct_contexts: int
    nodes: int
    tables: int
    services: int
    target_services: int
    edges: int
    context_lengths: dict[int, int]
    targets: dict[str, int]
    split: str
    train_pairs: int
    test_pairs: int
    held_out: HeldOut
    leaked_pairs: float
    leaked_contexts: float
    mask_graph: str
    forbidden_test_targets: int
    sha256: str

    @classmethod
    def of(cls, dataset: Dataset, split: Split, name: str) -> "Description":
        """Count a data set and split it.

        Parameters
        ----------
        name
            The split's name in the config.

        Raises
        ------
        DataError
            If the split leaves a side empty.
        """
        pairs, vocabulary = dataset.pairs, dataset.vocabulary
        train, test = sides = split.split(dataset)
        leaked = leakage(dataset, train, test)
        mask = dataset.graph(train if split.graph == "train" else None)
        asked = pairs.take(test)
        lengths, per_length = np.unique(dataset.contexts.depth[pairs.context], return_counts=True)
        counts = np.bincount(pairs.target, minlength=len(vocabulary.services))
        by_count = sorted(zip(vocabulary.services, counts.tolist(), strict=True), key=_rarity)
        return cls(
            compositions=dataset.n_compositions,
            left_out=summarise(dataset.skipped) or "none",
            dropped=dataset.dropped,
            paths=len(dataset.path),
            distinct_paths=len(np.unique(dataset.path)),
            pairs=len(pairs.context),
            distinct_pairs=len(pairs.distinct().weight),
            distinct_contexts=len(np.unique(pairs.context)),
            nodes=len(vocabulary.nodes),
            tables=vocabulary.is_service.count(False),
            services=vocabulary.is_service.count(True),
            target_services=len(vocabulary.services),
            edges=len(dataset.graph().source),
            context_lengths=dict(zip(lengths.tolist(), per_length.tolist(), strict=True)),
            targets=dict(by_count),
            split=name,
            train_pairs=len(train),
            test_pairs=len(test),
            held_out=split.report(dataset, sides, split.test_share),
            leaked_pairs=leaked.pairs,
            leaked_contexts=leaked.contexts,
            mask_graph=split.graph,
            forbidden_test_targets=mask.count_forbidden(
                dataset.contexts.node[asked.context], asked.target
            ),
            sha256=dataset.sha256,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain containers."""
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """Return headings and what stands behind them, for reading."""
        n_targets = sum(self.targets.values())
        common = list(self.targets.items())[:COMMON_CLASSES]
        rest = len(self.targets) - len(common)
        classes = [f"{name} {count:,} ({count / n_targets:.1%})" for name, count in common]
        leaks = f"{self.leaked_pairs:.1%} of test pairs, {self.leaked_contexts:.1%} of contexts"
        graph = {"all": "all edges, test pairs' too", "train": "edges of training only"}
        return [
            ("compositions", f"{self.compositions:,} (left out: {self.left_out})"),
            *([("dropped", count_dropped(self.dropped))] if self.dropped else []),
            ("paths", f"{self.paths:,} ({self.distinct_paths:,} distinct)"),
            ("pairs", f"{self.pairs:,} ({self.distinct_pairs:,} distinct)"),
            ("contexts", f"{self.distinct_contexts:,} distinct"),
            ("nodes", f"{self.nodes:,} ({self.tables:,} tables, {self.services:,} services)"),
            ("target services", f"{self.target_services:,}"),
            ("edges", f"{self.edges:,}"),
            ("context length", ", ".join(f"{k}: {n:,}" for k, n in self.context_lengths.items())),
            ("targets", "\n".join([*classes, *([f"and {rest:,} rarer ones"] if rest else [])])),
            ("split", f"{self.split}: {self.train_pairs:,} train, {self.test_pairs:,} test"),
            ("held out", self.held_out.of_pairs),
            *([] if self.held_out.groups is None else [("groups", self.held_out.in_groups)]),
            *(("warning", warning) for warning in self.held_out.warnings),
            ("in train too", leaks),
            (
                "DAG mask",
                f"{graph[self.mask_graph]}; rules out {self.forbidden_test_targets:,} test targets",
            ),
            ("sha256", self.sha256),
        ]


def _rarity(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
