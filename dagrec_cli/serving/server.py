"""Processes that answer: where they listen, how they end, and who follows one that dies."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import NamedTuple, NoReturn

from dagrec_cli.data.processes import SPAWN, ctrl_c_held_back, end_with_parent
from dagrec_cli.errors import ConfigError, RunError
from dagrec_cli.models.base import PlainMask

CONNECTIONS = 256  # of one process
LEAST_SECONDS = 10.0  # a process that dies sooner is not started again


class Service(NamedTuple):
    """What is served, as each process is given it.

    Attributes
    ----------
    run, trust, seed, mask, why
        See ``configs/serve.yaml``, and so on.
    timeout
        Seconds that a request may take.
    chosen
        File to which compositions are appended that are sent to be kept; None for none.
    data_path
        Where the run's data lie, for ``why``.
    """

    run: str | None
    trust: object
    seed: int | None
    mask: PlainMask | None
    timeout: float
    chosen: Path | None
    why: bool
    data_path: str | None


class Answering:
    """A server of the app, ready to run in this process.

    Attributes
    ----------
    told
        What one has to know of the model and its data, in lines; or nothing.
    """

    def __init__(self, listener: socket.socket, service: Service) -> None:
        import torch
        from uvicorn import Config, Server

        from dagrec_cli.runs.model import named_run
        from dagrec_cli.runs.recommend import Recommender
        from dagrec_cli.serving.app import app_of

        torch.set_num_threads(1)  # one request is small, and processes share the cores
        run = named_run(service.run, "serve", service.trust)
        recommender = Recommender(run, service.seed, service.mask)
        explain = recommender.explainer(service.why, service.data_path)
        self.told = recommender.told
        if explain is not None and explain.earlier is None:
            self.told += f"Earlier compositions are not shown: {explain.not_shown}.\n"
        self._listener = listener
        hosts = ["localhost", host_of(listener)] if is_local(listener) else ["*"]
        self._server = Server(
            Config(
                app_of(recommender, service.timeout, service.chosen, hosts, explain),
                log_config=None,
                log_level="critical",  # errors are said by the app
                access_log=False,
                lifespan="off",
                ws="none",
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=1 + int(service.timeout),
            )
        )

    def run(self) -> None:
        """Answer until Ctrl-C or SIGTERM; what has begun ends first."""
        signal.signal(signal.SIGTERM, _end_well)
        self._server.run([self._listener])


def supervise(listener: socket.socket, service: Service, n_workers: int) -> NoReturn:
    """Let processes answer, in place of each that dies another one, until Ctrl-C or SIGTERM.

    Raises
    ------
    RunError
        If one dies as soon as it is started.
    """
    signal.signal(signal.SIGTERM, _end_well)
    begun: dict[BaseProcess, float] = {}

    def begin() -> None:
        with ctrl_c_held_back():
            process = SPAWN.Process(target=_work, args=(listener, service))
            process.start()
        begun[process] = monotonic()

    try:
        for _ in range(n_workers):
            begin()
        while True:
            connection.wait([process.sentinel for process in begun])
            for process in [process for process in begun if process.exitcode is not None]:
                line = f"a worker died (exit code {process.exitcode})"
                if monotonic() - begun.pop(process) < LEAST_SECONDS:
                    raise RunError(f"{line} as soon as it was started; try workers=1.")
                sys.stderr.write(f"dagrec serve: {line}; another one is started.\n")
                begin()
    finally:
        for process in begun:
            process.terminate()
        for process in begun:
            process.join()


def _work(listener: socket.socket, service: Service) -> None:
    end_with_parent()
    signal.signal(signal.SIGTERM, _end_well)  # from here on, not only once it answers
    Answering(listener, service).run()


@contextmanager
def listener_at(host: str, port: int) -> Iterator[socket.socket]:
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


def host_of(listener: socket.socket) -> str:
    """Return the address where something listens, as a URL has it."""
    name: str = listener.getsockname()[0]
    return f"[{name}]" if ":" in name else name


def is_local(listener: socket.socket) -> bool:
    """Return whether this machine alone reaches what listens."""
    return ip_address(listener.getsockname()[0]).is_loopback


def _end_well(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)
