"""``dagrec bench``: plain against fast, both checked equal, in one process."""

import sys
from pathlib import Path

from omegaconf import DictConfig

from dagrec_cli.commands.hydra_main import run_with_hydra

SETTINGS = ("bench", "sizes", "repeats", "limit", "threads", "seed", "progress")


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
        check_keys(config, [*(k for k in hydra.runtime.choices if "/" not in k), *SETTINGS])
        threads, findings = _run(config)
    except DagrecError:
        folder.remove_if_empty()
        raise
    table = write(folder, findings, threads)
    console = Console()
    console.print(table.to_rich(console.width))
    sys.stdout.write(f"Run folder: {folder.path}\n")
    if wrong := faults(findings):
        sys.stderr.writelines(f"dagrec bench: {line}\n" for line in wrong)
        sys.exit(1)


def _run(config: DictConfig) -> "tuple[int, dict[str, Finding]]":  # type: ignore[name-defined] # noqa: F821
    import torch

    from dagrec_cli.benchmarks.base import choose
    from dagrec_cli.benchmarks.report import Finding
    from dagrec_cli.benchmarks.runner import LEAST_ROUNDS, measure
    from dagrec_cli.config.limits import check_count, check_positive
    from dagrec_cli.training.progress import progress

    check_count("repeats", config.repeats, least=LEAST_ROUNDS)
    check_positive("limit", config.limit)
    for size in config.sizes or ():
        check_count("sizes", size)
    if config.threads is not None:
        check_count("threads", config.threads)
        torch.set_num_threads(config.threads)
    findings = {}
    with progress(config.progress) as display:
        for name, kind in choose(config.bench).items():
            benchmark = kind(config)
            findings[name] = Finding(benchmark.unit)
            for size in config.sizes or benchmark.sizes:
                display.start(f"{name} {size:,}", config.repeats)
                findings[name].measurements.append(
                    measure(
                        benchmark,
                        size,
                        repeats=config.repeats,
                        limit=config.limit,
                        watch=display.step,
                    )
                )
    return torch.get_num_threads(), findings
