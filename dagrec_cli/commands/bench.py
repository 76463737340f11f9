"""``dagrec bench``: plain against fast, both checked equal; the benchmarks are in ``tests/``."""

import sys

from dagrec_cli.app.hydra_main import run_with_hydra
from dagrec_cli.config.where import config_dir
from dagrec_cli.errors import ConfigError


def main() -> None:
    """Compose the config and run; exit 1 if two ways differ or a promise is missed.

    Raises
    ------
    ConfigError
        If the package was installed without its source.
    """
    tests = config_dir().parent / "tests"  # beside the configs of a checkout
    if not (tests / "benchmarks").is_dir():
        raise ConfigError(
            "the benchmarks come with the source, not with an installed package; use make bench "
            "in a clone of the repository."
        )
    sys.path.insert(0, str(tests))
    from benchmarks.command import bench

    run_with_hydra("bench", bench)
