"""``dagrec serve``: recommendations over HTTP, with a saved model."""

import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from time import monotonic
from types import FrameType
from typing import Annotated, Any, NoReturn

from msgspec import Meta
from omegaconf import DictConfig

from dagrec_cli.config.build import check_settings, plain
from dagrec_cli.config.kinds import Count, Positive
from dagrec_cli.errors import ConfigError, RunError, install

Port = Annotated[int, Meta(ge=0, le=65_535)]

CONNECTIONS = 256  # of one process
LEAST_SECONDS = 10.0  # a process that dies sooner is not started again


def serve(config: DictConfig) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Raises
    ------
    SystemExit
        With 0, after SIGTERM.
    """
    from dagrec_cli.models.base import PlainMask

    check_settings(
        config,
        run=Any,
        trust=Any,
        host=str,
        port=Port,
        workers=Count,
        timeout=Positive,
        mask=PlainMask | None,
        seed=Any,
    )
    _check_extra()
    settings = plain(config)
    with _listening(config.host, config.port) as listener:
        answering = _Answering(listener, settings)  # whatever is wrong with the run is said now
        sys.stderr.write(answering.told)
        name, port = listener.getsockname()[:2]
        if not ip_address(name).is_loopback:
            sys.stderr.write(
                f"host={config.host} can be reached from other machines, and nobody is asked who "
                "he is.\n"
            )
        shown = f"[{name}]" if ":" in name else name
        sys.stdout.write(f"{answering.name} at http://{shown}:{port} (Ctrl-C stops)\n")
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, _end_well)
        if config.workers == 1:
            answering.run()
        del answering
        _supervise(listener, settings, config.workers)


class _Answering:
    """A server of the app, ready to run in this process."""

    def __init__(self, listener: socket.socket, settings: Mapping[str, Any]) -> None:
        import torch
        from uvicorn import Config, Server

        from dagrec_cli.export.service import app_of
        from dagrec_cli.runs.model import named_run
        from dagrec_cli.runs.recommend import Recommender

        torch.set_num_threads(1)
        run = named_run(settings["run"], "serve", settings["trust"])
        recommender = Recommender(run, settings["seed"], settings["mask"])
        self.told = recommender.told
        self.name = str(run.path)
        self.listener = listener
        self.server = Server(
            Config(
                app_of(recommender, settings["timeout"]),
                log_config=None,
                log_level="critical",
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=1 + int(settings["timeout"]),
            )
        )

    def run(self) -> None:
        """Answer until a signal, which then does what it did before."""
        self.server.run([self.listener])


def _supervise(listener: socket.socket, settings: Mapping[str, Any], n_workers: int) -> NoReturn:
    """Let processes answer, in place of each that dies another one, until a signal."""
    from dagrec_cli.data.processes import SPAWN, ctrl_c_held_back

    begun: dict[BaseProcess, float] = {}

    def begin() -> None:
        with ctrl_c_held_back():
            process = SPAWN.Process(target=_work, args=(listener, settings))
            process.start()
        begun[process] = monotonic()

    try:
        for _ in range(n_workers):
            begin()
        while True:
            connection.wait([process.sentinel for process in begun])
            for process in [process for process in begun if process.exitcode is not None]:
                told = f"a worker died (exit code {process.exitcode})"
                if monotonic() - begun.pop(process) < LEAST_SECONDS:
                    raise RunError(f"{told} as soon as it was started; try workers=1.")
                sys.stderr.write(f"dagrec serve: {told}; another one is started.\n")
                begin()
    finally:
        for process in begun:
            process.terminate()
        for process in begun:
            process.join()


def _work(listener: socket.socket, settings: Mapping[str, Any]) -> None:
    from dagrec_cli.data.processes import end_with_parent

    end_with_parent()
    signal.signal(signal.SIGTERM, _end_well)
    _Answering(listener, settings).run()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Yield a socket that listens; of a name with several addresses, at the first.

    Raises
    ------
    ConfigError
        If it cannot.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family)
    except (OSError, UnicodeError) as error:
        is_address = isinstance(error, OSError) and not isinstance(error, socket.gaierror)
        reason = os.strerror(getattr(error, "errno", 0)) if is_address else "no such address"
        raise ConfigError(
            f"cannot listen at host={host} port={port}: {reason}; take another one, or port=0 for "
            "any free port."
        ) from error
    with listener:
        yield listener


def _end_well(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _check_extra() -> None:
    from importlib.util import find_spec

    for package in ("fastapi", "uvicorn"):
        if find_spec(package) is None:
            raise ConfigError(f"dagrec serve needs {package}; {install('serve')}.")
