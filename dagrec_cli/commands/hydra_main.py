"""Hands a command's task to Hydra with that command's own config."""

from collections.abc import Callable
from functools import wraps

from omegaconf import DictConfig

from dagrec_cli.config.paths import config_dir


def run_with_hydra(config_name: str, task: Callable[[DictConfig], object]) -> None:
    """Compose ``configs/<config_name>.yaml`` with the overrides in ``sys.argv`` and run the task.

    An error of a single run is carried past Hydra, which would print a line of its own for it.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    failures: list[Exception] = []

    @wraps(task)
    def guarded(config: DictConfig) -> object:
        try:
            return task(config)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            failures.append(error)
            return None

    main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)
    main(guarded)()
    if failures:
        raise failures[0]
