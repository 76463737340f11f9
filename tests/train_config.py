"""What ``dagrec train`` would run, without running it."""

from collections.abc import Sequence

from omegaconf import DictConfig

from dagrec_cli.config.compose import composed
from dagrec_cli.jobs.job import request_of, without_hydra
from dagrec_cli.runs.provenance import Request


def compose_train(overrides: Sequence[str]) -> tuple[DictConfig, Request]:
    """Return the config that ``dagrec train OVERRIDES`` would have, and what it was asked for."""
    whole = composed("train", overrides)
    config = without_hydra(whole)
    return config, request_of(whole.hydra, config, overrides)
