"""``dagrec data fetch``: a public data set, found or downloaded, its hash checked."""

import sys
from typing import Any

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import run_with_hydra


def main() -> None:
    """Compose the config and run."""
    run_with_hydra("data_fetch", fetch)


def fetch(config: DictConfig) -> None:
    """Print where the file lies.

    Raises
    ------
    ConfigError
        If the data set has nothing to download.
    DataError
        If the file cannot be had, or its hash is not the pinned one.
    """
    from hydra.core.hydra_config import HydraConfig

    from dagrec_cli.config.checks import check_settings
    from dagrec_cli.data.download import locate
    from dagrec_cli.errors import ConfigError

    check_settings(config, data=Any)
    download = config.data.get("download")
    if not download:
        name = HydraConfig.get().runtime.choices["data"]
        raise ConfigError(f"data={name} has nothing to download; try data=geoportal.")
    path = locate(file=download.file, url=download.url, sha256=download.sha256)
    sys.stdout.write(f"{path} ({path.stat().st_size:,} bytes, sha256 {download.sha256})\n")
