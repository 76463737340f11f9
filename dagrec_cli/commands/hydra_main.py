"""Hands a command's task to Hydra with that command's own config."""

from collections.abc import Callable

from omegaconf import DictConfig

from dagrec_cli.config.paths import config_dir


def run_with_hydra(config_name: str, task: Callable[[DictConfig], object]) -> None:
    """Compose ``configs/<config_name>.yaml`` with the overrides in ``sys.argv`` and run the task."""
    import hydra

    main = hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=config_name)
    main(task)()
