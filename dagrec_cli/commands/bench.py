"""``dagrec bench``: plain against fast, both checked equal, in one process."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from dagrec_cli.commands.hydra_main import overrides_of, run_with_hydra

if TYPE_CHECKING:
    from dagrec_cli.benchmarks.report import Finding

SHOWN = ("benchmark", "size", "plain_ms", "fast_ms", "ratio", "promised")
TOP_LEVEL = ("bench", "sizes", "repeats", "limit", "threads", "seed", "progress")


def main() -> None:
    """Compose the config and run; exit 1 if two ways differ or a promise is missed."""
    run_with_hydra("bench", bench)


def bench(config: DictConfig) -> None:
    """Run the chosen benchmarks and write their run folder."""
    from hydra.core.hydra_config import HydraConfig
    from rich.console import Console

    from dagrec_cli.benchmarks.report import faults, write
    from dagrec_cli.config.checks import check_keys
    from dagrec_cli.errors import DagrecError
    from dagrec_cli.reporting.run_folder import RunFolder

    hydra = HydraConfig.get()
    folder = RunFolder(Path(hydra.runtime.output_dir))
    try:
        check_keys(config, [*(k for k in hydra.runtime.choices if "/" not in k), *TOP_LEVEL])
        findings = _measure(config)
    except DagrecError:
        folder.remove_if_empty()
        raise
    table = write(folder, findings, overrides_of(hydra)["task"])
    console = Console()
    console.print(replace(table, columns=SHOWN).to_rich(console.width))
    sys.stdout.write(f"Run folder: {folder.path}\n")
    if wrong := faults(findings):
        sys.stderr.writelines(f"dagrec bench: {line}.\n" for line in wrong)
        sys.exit(1)


def _measure(config: DictConfig) -> dict[str, "Finding"]:
    import torch

    from dagrec_cli.benchmarks.base import choose
    from dagrec_cli.benchmarks.report import Finding
    from dagrec_cli.benchmarks.runner import measure
    from dagrec_cli.training.progress import progress

    _check(config)
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


def _check(config: DictConfig) -> None:
    from dagrec_cli.benchmarks.runner import LEAST_ROUNDS
    from dagrec_cli.config.limits import check_count, check_positive

    check_count("repeats", config.repeats, least=LEAST_ROUNDS)
    check_positive("limit", config.limit)
    for size in config.sizes or ():
        check_count("sizes", size)
    if config.threads is not None:
        check_count("threads", config.threads)
