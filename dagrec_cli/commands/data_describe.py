"""``dagrec data describe``: counts of a data set and of its split."""

import sys
from typing import Any, Literal

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import run_with_hydra


def main() -> None:
    """Compose the config and run."""
    run_with_hydra("data_describe", describe)


def describe(config: DictConfig) -> None:
    """Print what the data set holds."""
    import json

    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.config.build import build
    from dagrec_cli.config.checks import check_settings
    from dagrec_cli.data.cache import cached_dataset
    from dagrec_cli.reporting.description import Description

    check_settings(config, data=Any, split=Any, format=Literal["table", "json"])
    choices = HydraConfig.get().runtime.choices
    split = build(config.split, "split")
    found = Description.of(cached_dataset(build(config.data, "data")), split, choices["split"])
    if config.format == "json":
        sys.stdout.write(f"{json.dumps(found.to_json(), indent=2, ensure_ascii=False)}\n")
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"data={choices['data']}", show_header=False)
    for heading, text in found.lines():
        table.add_row(heading, Text(text, overflow="fold"))
    Console().print(table)
