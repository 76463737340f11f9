"""``dagrec data export``: a split in the formats of other tools."""

import sys
from typing import Annotated, Any

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import run_with_hydra


def main() -> None:
    """Compose the config and run."""
    run_with_hydra("data_export", export)


def export(config: DictConfig) -> None:
    """Write the files and say how many pairs they hold."""
    from dagrec_cli.app.output import output_errors, output_path
    from dagrec_cli.config.build import build
    from dagrec_cli.config.checks import check_settings
    from dagrec_cli.config.kinds import OneOf
    from dagrec_cli.data.dataset import build_dataset
    from dagrec_cli.export.exchange import FORMATS, check_folder
    from dagrec_cli.runs.folder import RunFolder
    from dagrec_cli.training.split_data import SplitData

    form = Annotated[str, OneOf(FORMATS)]
    check_settings(config, data=Any, split=Any, format=form, output=Any)
    path = output_path(config.output)
    check_folder(path)
    split = build(config.split, "split")
    data = SplitData.of(build_dataset(build(config.data, "data")), split, validation_share=0.0)
    with output_errors(path):
        folder = RunFolder(path)
        with folder.locked("output"):
            FORMATS[config.format](folder, data)
    sys.stdout.write(f"{path}: {len(data.train):,} training pairs, {len(data.test):,} test pairs\n")
