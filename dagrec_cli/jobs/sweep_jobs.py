"""The jobs of ``dagrec train -m``: what each is run with, and in which folder of its own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from dagrec_cli.app.hydra_errors import first_line
from dagrec_cli.errors import ConfigError

REMEDY = "use ${hydra.job.num} in hydra.sweep.subdir"
MOST = 5  # names in a message


def jobs_of(config: DictConfig, overrides: Sequence[str], folder: Path) -> dict[Path, list[str]]:
    """Return the overrides of each job by its folder, as Hydra will have them.

    What the folders' names look up once (``${now:…}``) is kept in ``config``, so that the jobs find
    the same.

    Parameters
    ----------
    config
        The config without what is swept.
    folder
        The sweep's, absolute.

    Raises
    ------
    ConfigError
        If jobs would share a folder, or one is not known before its job runs.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    loader = GlobalHydra.instance().config_loader()
    params = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(loader).parse_overrides([*params, *overrides])
    (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    places: list[Path] = []
    for number, job in enumerate(jobs):
        composed = loader.load_sweep_config(config, job)
        with open_dict(composed):
            composed.hydra.job.num = number
        places.append(Path(os.path.abspath(folder / _subdir(composed))))
        OmegaConf.copy_cache(from_config=composed, to_config=config)
    _check_apart(places, folder)
    return dict(zip(places, jobs, strict=True))


def _subdir(composed: DictConfig) -> str:
    try:
        with _as_hydra_config(composed):
            return str(composed.hydra.sweep.subdir)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"hydra.sweep.subdir is not known before its job runs ({first_line(error)}); {REMEDY}."
        ) from error


@contextmanager
def _as_hydra_config(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:…}`` look into this config, as it will in the job."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before


def _check_apart(places: Sequence[Path], folder: Path) -> None:
    """Raise ConfigError if a job would write where another one does, or the sweep itself."""
    sweep = Path(os.path.realpath(folder))
    users: dict[Path, list[str]] = {sweep: ["the sweep"]}
    for number, place in enumerate(places):
        users.setdefault(Path(os.path.realpath(place)), []).append(f"job {number}")
    for place, names in users.items():
        if len(names) > 1:
            raise ConfigError(f"{_listed(names)} would share the folder {place}; {REMEDY}.")
    for outer, inner in pairwise(sorted(users)):  # by part, so what a folder holds comes after it
        if outer != sweep and inner.is_relative_to(outer):
            raise ConfigError(
                f"{users[outer][0]} would have the folder {outer}, which holds that of "
                f"{users[inner][0]}; {REMEDY}."
            )


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:MOST], *([f"{len(names) - MOST} more"] if len(names) > MOST else [])]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
