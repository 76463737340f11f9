"""``dagrec data validate``: every fault of a file, with its place."""

import sys
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from dagrec_cli.app.hydra_main import run_with_hydra

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagrec_cli.data.composition import Fault, Source


def main() -> None:
    """Compose the config and run."""
    run_with_hydra("data_validate", validate)


def validate(config: DictConfig) -> None:
    """Print every fault, one a line, and a last line that counts them.

    Raises
    ------
    DataError
        If there is a fault, or the file as a whole cannot be read.
    """
    from dagrec_cli.config.build import build
    from dagrec_cli.config.checks import check_settings
    from dagrec_cli.config.kinds import Natural
    from dagrec_cli.data.invalid import plural
    from dagrec_cli.errors import DataError

    check_settings(config, data=Any, most=Natural)
    n_read = n_invalid = n_faults = 0
    most: int = config.most
    for faults in _faults_of_each(build(config.data, "data")):
        n_read += 1
        n_invalid += bool(faults)
        for fault in faults:
            n_faults += 1
            if n_faults <= most:
                sys.stdout.write(f"{fault}\n")
    if n_faults > most:
        sys.stdout.write(f"… and {n_faults - most:,} more; most={n_faults} prints them.\n")
    if n_faults:
        raise DataError(
            f"faults: {n_faults:,}, in {n_invalid:,} of {plural(n_read, 'composition')}; mend "
            "them, or train without those compositions with data.on_invalid=skip."
        )
    if not n_read:
        raise DataError("no composition in it; a file holds at least one.")
    sys.stdout.write(f"compositions: {n_read:,}, faults: none\n")


def _faults_of_each(source: "Source") -> "Iterator[tuple[Fault, ...]]":
    """Yield the faults of every composition, none for a valid one."""
    from dagrec_cli.data.composition import Invalid
    from dagrec_cli.data.invalid import too_many_paths

    for position, item in enumerate(source.read()):
        if isinstance(item, Invalid):
            yield item.faults
        else:
            invalid = too_many_paths(item, position, source.max_paths)
            yield invalid.faults if invalid else ()
