"""``dagrec data prepare``: a data set prepared file by file, and kept."""

import sys
from typing import Any, Literal

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import run_with_hydra


def main() -> None:
    """Compose the config and run."""
    run_with_hydra("data_prepare", prepare)


def prepare(config: DictConfig) -> None:
    """Prepare the data set, or one file of it, unless it is kept already, and print where."""
    from dagrec_cli.config.build import build
    from dagrec_cli.config.checks import check_settings
    from dagrec_cli.config.kinds import Count, Natural
    from dagrec_cli.data.shards import prepare_ahead, prepare_part
    from dagrec_cli.training.progress import progress

    check_settings(
        config,
        data=Any,
        part=Natural | None,
        engine=Literal["processes", "ray"],
        n_jobs=Count,
        progress=Any,
    )
    source = build(config.data, "data")
    if config.part is not None:
        found, path = prepare_part(source, config.part)
        sys.stdout.write(f"part {config.part}, {len(found.time):,} compositions: {path}\n")
        return
    with progress(config.progress) as display:
        display.start("files", None)
        dataset, entry = prepare_ahead(
            source, engine=config.engine, n_jobs=config.n_jobs, watch=display.step
        )
    sys.stdout.write(
        f"{dataset.n_compositions:,} compositions, {len(dataset.pairs.target):,} pairs: {entry}\n"
    )
