"""``dagrec data prepare``: a data set prepared file by file, and kept."""

import sys

from omegaconf import DictConfig

from dagrec_cli.commands.hydra_main import run_with_hydra


def main() -> None:
    """Compose the config and run."""
    run_with_hydra("data_prepare", prepare)


def prepare(config: DictConfig) -> None:
    """Prepare the data set unless it is kept already, and print what it holds and where it lies."""
    from dagrec_cli.config.build import build
    from dagrec_cli.config.checks import check_keys
    from dagrec_cli.data.shards import prepare_ahead
    from dagrec_cli.training.progress import progress

    check_keys(config, ["data", "engine", "n_jobs", "progress"])
    source = build(config.data, "data")
    with progress(config.progress) as display:
        display.start("files", None)
        dataset, entry = prepare_ahead(
            source, engine=config.engine, n_jobs=config.n_jobs, watch=display.step
        )
    sys.stdout.write(
        f"{dataset.n_compositions:,} compositions, {len(dataset.pairs.target):,} pairs: {entry}\n"
    )
