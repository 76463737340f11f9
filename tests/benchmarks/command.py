"""What ``dagrec bench`` runs: which benchmarks there are, those wanted, and what they leave."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import torch
from hydra.core.hydra_config import HydraConfig
from msgspec import Meta
from omegaconf import DictConfig
from rich.console import Console

from benchmarks.base import Benchmark
from benchmarks.dagnn2021_epoch import Dagnn2021Epoch
from benchmarks.deep_contexts import GruDag, GruTrie, MiniBatchEpoch
from benchmarks.evaluation import Evaluation, EvaluationLarge
from benchmarks.gru4rec_epoch import Gru4RecEpoch
from benchmarks.preparation import Preparation, PreparationDag
from benchmarks.report import Finding, faults, write
from benchmarks.runner import LEAST_ROUNDS, measure
from benchmarks.steps import BprStep, CeStep
from dagrec_cli.app.hydra_main import overrides_of
from dagrec_cli.config.build import check_settings
from dagrec_cli.config.kinds import Count, Positive
from dagrec_cli.errors import ConfigError, DagrecError, did_you_mean
from dagrec_cli.reporting.terminal import to_rich
from dagrec_cli.runs.folder import RunFolder
from dagrec_cli.training.progress import progress

BENCHMARKS: dict[str, type[Benchmark]] = {
    "bpr_step": BprStep,
    "ce_step": CeStep,
    "dagnn2021_epoch": Dagnn2021Epoch,
    "evaluation": Evaluation,
    "evaluation_large": EvaluationLarge,
    "gru4rec_epoch": Gru4RecEpoch,
    "gru_dag": GruDag,
    "gru_trie": GruTrie,
    "mini_batch": MiniBatchEpoch,
    "preparation": Preparation,
    "preparation_dag": PreparationDag,
}
ALL = "all"
SHOWN = ("benchmark", "size", "plain_ms", "fast_ms", "ratio", "promised")
SETTINGS: dict[str, Any] = {  # beside the groups
    "bench": str | list[str],
    "sizes": list[Count] | None,
    "repeats": Annotated[int, Meta(ge=LEAST_ROUNDS)],
    "limit": Positive,
    "threads": Count | None,
    "seed": Any,
    "progress": Any,
}


def bench(config: DictConfig) -> None:
    """Run the chosen benchmarks, write their run folder; exit 1 if ways differ or are too slow."""
    hydra = HydraConfig.get()
    folder = RunFolder(Path(hydra.runtime.output_dir))
    try:
        groups = [name for name in hydra.runtime.choices if "/" not in name]
        check_settings(config, *groups, **SETTINGS)
        findings = _measure(config)
    except DagrecError:
        folder.remove_if_empty()
        raise
    table = write(folder, findings, overrides_of(hydra)["task"])
    console = Console()
    console.print(to_rich(replace(table, columns=SHOWN), console.width))
    sys.stdout.write(f"Run folder: {folder.path}\n")
    if wrong := faults(findings):
        sys.stderr.writelines(f"dagrec bench: {line}.\n" for line in wrong)
        sys.exit(1)


def choose(wanted: str | Sequence[str]) -> dict[str, type[Benchmark]]:
    """Return the benchmarks of a setting: ``all``, one name, or several.

    Raises
    ------
    ConfigError
        If there is no benchmark of a name, or none is named.
    """
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    if names == [ALL]:
        return BENCHMARKS
    for name in names:
        if name not in BENCHMARKS:
            hint = did_you_mean(str(name), BENCHMARKS)
            raise ConfigError(
                f"bench={name} does not exist; {hint}use all or {', '.join(BENCHMARKS)}."
            )
    if not names:
        raise ConfigError(f"bench is empty; use all or {', '.join(BENCHMARKS)}.")
    return {name: BENCHMARKS[name] for name in names}


def _measure(config: DictConfig) -> dict[str, Finding]:
    kinds = choose(config.bench)
    torch.set_num_threads(config.threads or torch.get_num_threads())
    benchmarks = {name: kind(config) for name, kind in kinds.items()}
    findings = {name: Finding(kind.unit) for name, kind in kinds.items()}
    rounds = {"repeats": config.repeats, "limit": config.limit}
    with progress(config.progress) as display:
        for name, benchmark in benchmarks.items():
            for size in config.sizes or benchmark.sizes:
                display.start(f"{name} {size:,}", config.repeats)
                measured = measure(benchmark, size, **rounds, watch=display.step)
                findings[name].measurements.append(measured)
    return findings
