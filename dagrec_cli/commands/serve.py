"""``dagrec serve``: recommendations over HTTP, with a saved model."""

import sys
from pathlib import Path
from typing import Annotated

from msgspec import Meta
from omegaconf import DictConfig, OmegaConf

from dagrec_cli.config.build import check_settings, plain
from dagrec_cli.config.kinds import Count, Positive
from dagrec_cli.config.where import user_path
from dagrec_cli.errors import ConfigError, RunError, install

Port = Annotated[int, Meta(ge=0, le=65_535)]


def serve(config: DictConfig) -> None:
    """Answer requests until Ctrl-C, or SIGTERM, which ends with exit code 0."""
    from dagrec_cli.models.base import PlainMask
    from dagrec_cli.serving.server import (
        Answering,
        Service,
        host_of,
        is_local,
        listener_at,
        supervise,
    )

    check_settings(
        config,
        *("run", "trust", "data", "seed"),
        host=str,
        port=Port,
        workers=Count,
        timeout=Positive,
        chosen=str | None,
        why=bool,
        mask=PlainMask | None,
    )
    _check_extra()
    settings = plain(config)
    chosen = None if config.chosen is None else _appendable(user_path(config.chosen))
    settings |= {"chosen": chosen, "data_path": OmegaConf.select(config, "data.path")}
    service = Service(**{key: settings[key] for key in Service._fields})
    with listener_at(config.host, config.port) as listener:
        answering = Answering(listener, service)  # whatever is wrong with the run is said now
        sys.stderr.write(answering.told)
        if not is_local(listener):
            sys.stderr.write(
                f"host={config.host} can be reached from other machines, and nobody is asked who "
                "he is.\n"
            )
        address = f"http://{host_of(listener)}:{listener.getsockname()[1]}"
        sys.stdout.write(f"{config.run} at {address} (Ctrl-C stops)\n")
        sys.stdout.flush()
        if config.workers == 1:
            answering.run()
        else:
            del answering
            supervise(listener, service, config.workers)


def _check_extra() -> None:
    from importlib.util import find_spec

    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise ConfigError(f'the extra "serve" is missing ({package}); {install("serve")}.')


def _appendable(path: Path) -> Path:
    """Return the path of a file of JSON Lines, there or not.

    Raises
    ------
    ConfigError
        If lines cannot be appended to what lies there.
    """
    from dagrec_cli.data.plain_files import kind_of, open_plain

    if kind := kind_of(path):
        raise ConfigError(f"chosen is {str(path)!r}, {kind}; name a plain file.")
    try:
        with open_plain(path, "r+b") as file:
            start = file.read(1)
    except OSError as error:
        raise RunError(f"chosen is {str(path)!r}: {error.strerror}; name another file.") from error
    if start not in (b"", b"{"):
        raise ConfigError(
            f"chosen is {str(path)!r}, which holds no JSON Lines; name another file, or a new one."
        )
    return path
