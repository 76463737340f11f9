"""What every sampler promises, run over every YAML in configs/sampler."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig
from torch import Generator, Tensor

from dagrec_cli.config.build import build
from dagrec_cli.config.where import config_dir
from dagrec_cli.errors import ConfigError
from dagrec_cli.promises.parts import SAMPLER_PROMISES
from dagrec_cli.samplers.base import Sampler
from dagrec_cli.samplers.none import NoSampler
from dagrec_cli.samplers.popularity import PopularitySampler

YAMLS = sorted((config_dir() / "sampler").glob("*.yaml"))
SAMPLERS = [yaml.stem for yaml in YAMLS]
MAY_DRAW_TARGETS = [yaml.stem for yaml in YAMLS if "\nexclude_target:" in yaml.read_text()]
COUNTS = torch.tensor([0.0, 40.0, 1.0, 0.0, 9.0, 25.0, 0.0])

Config = Callable[..., DictConfig]


@pytest.fixture(params=[name for name in SAMPLERS if name != "none"])
def node(request: pytest.FixtureRequest, config: Config) -> DictConfig:
    return config("sampler", request.param, n_sample=64)


def popularity(alpha: float, *, n_sample: int = 64, exclude: bool = True) -> PopularitySampler:
    sampler = PopularitySampler(n_sample=n_sample, sample_alpha=alpha, exclude_target=exclude)
    sampler.prepare(COUNTS)
    return sampler


def draw(sampler: Sampler, target: Tensor, seed: int = 0) -> Tensor:
    return sampler.sample(target, Generator().manual_seed(seed))


def test_every_service_but_the_target_may_be_a_negative(node: DictConfig) -> None:
    sampler: Sampler = build(node, "sampler")
    sampler.prepare(torch.ones(7))
    target = torch.arange(7).repeat(50)
    found = draw(sampler, target)
    assert found.shape == (350, 64)
    assert not (found == target[:, None]).any()
    for service in range(7):
        others = {*range(7)} - {service}
        assert set(found[target == service].flatten().tolist()) == others


@pytest.mark.parametrize("name", MAY_DRAW_TARGETS)
def test_a_target_may_be_its_own_negative_if_asked_for(config: Config, name: str) -> None:
    node = config("sampler", name, n_sample=64, exclude_target=False)
    sampler: Sampler = build(node, "sampler")
    sampler.prepare(torch.ones(7))
    target = torch.arange(7)
    is_own = draw(sampler, target) == target[:, None]
    assert is_own.any()
    assert not is_own.all()


@pytest.mark.parametrize("promise", SAMPLER_PROMISES, ids=lambda promise: promise.__name__)
def test_a_sampler_keeps_what_every_sampler_promises(
    node: DictConfig, promise: Callable[[DictConfig], str]
) -> None:
    assert promise(node) == ""


@pytest.mark.parametrize("alpha", [0.0, 0.75, 1.0])
@pytest.mark.parametrize("excluded", [None, 0, 1, 5])
def test_frequencies_follow_count_to_the_power_alpha(alpha: float, excluded: int | None) -> None:
    n = 400_000
    sampler = popularity(alpha, n_sample=n, exclude=excluded is not None)
    found = torch.bincount(draw(sampler, torch.tensor([excluded or 0]))[0], minlength=7) / n

    expected = torch.tensor([float(count) ** alpha for count in COUNTS.tolist()])
    if excluded is not None:
        expected[excluded] = 0
    expected /= expected.sum()
    five_sigma = 5 * (expected * (1 - expected) / n).sqrt()
    assert ((found - expected).abs() <= five_sigma).all()  # never drawn where 0 is expected


@example([1, 1, 8, 8, 43, 2, 3, 4], 2.0)  # low + (high - low) < high for the favourite
@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=8).filter(lambda c: sum(map(bool, c)) > 1),
    st.sampled_from([0.0, 0.5, 0.75, 1.0, 2.0]),
)
@settings(deadline=None)
def test_at_the_edges_of_a_slice_the_target_stays_out(counts: list[int], alpha: float) -> None:
    sampler = PopularitySampler(n_sample=6, sample_alpha=alpha, exclude_target=True)
    sampler.prepare(torch.tensor(counts, dtype=torch.float32))
    target = torch.arange(len(counts))
    edge = sampler.lower / (1 - (sampler.upper - sampler.lower))
    last = torch.full_like(edge, 1 - 2.0**-53)  # the greatest number that torch.rand may return
    around = [edge, edge.nextafter(0 * edge), edge.nextafter(1 + edge), 0 * edge, last, last / 2]
    points = torch.minimum(torch.stack(around, dim=1), last[:, None])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "rand", lambda *_, **__: points)
        found = draw(sampler, target)
    assert not (found == target[:, None]).any()
    assert alpha == 0 or torch.tensor(counts)[found].all()


def test_one_target_leaves_no_negative() -> None:
    sampler = PopularitySampler(n_sample=1, sample_alpha=0.75, exclude_target=True)
    with pytest.raises(ConfigError, match="no negative is left"):
        sampler.prepare(torch.tensor([0.0, 5.0, 0.0]))
    paper = PopularitySampler(n_sample=1, sample_alpha=0.75, exclude_target=False)
    paper.prepare(torch.tensor([0.0, 5.0, 0.0]))
    assert draw(paper, torch.tensor([1])).tolist() == [[1]]


def test_the_uniform_sampler_draws_services_that_are_never_a_target(config: Config) -> None:
    sampler: Sampler = build(config("sampler", "uniform"), "sampler")
    sampler.prepare(COUNTS)
    assert set(draw(sampler, torch.tensor([1]))[0].tolist()) == {0, 2, 3, 4, 5, 6}


def test_no_sampler_draws_nothing() -> None:
    assert NoSampler.n_sample == 0
    assert draw(NoSampler(), torch.tensor([1, 2])).shape == (2, 0)


@pytest.mark.parametrize("setting", [{"n_sample": 0}, {"sample_alpha": -0.5}])
@pytest.mark.parametrize("name", ["popularity", "successors"])
def test_settings_out_of_range(config: Config, name: str, setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"sampler.{next(iter(setting))} is"):
        build(config("sampler", name, **setting), "sampler")
