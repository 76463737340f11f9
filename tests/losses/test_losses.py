"""What every loss promises, run over every YAML in configs/loss; each needs an oracle here."""

import math
from collections.abc import Callable

import pytest
import torch
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.config.where import config_dir
from dagrec_cli.losses.base import Loss
from dagrec_cli.losses.bpr import BPR
from dagrec_cli.models.layers.scoring_head import ScoringHead
from dagrec_cli.promises.parts import LOSS_PROMISES, per_row

LOSSES = sorted(path.stem for path in (config_dir() / "loss").glob("*.yaml"))
SERVICES = 6


def cross_entropy(scores: list[float], target: int) -> float:
    return -math.log(softmax(scores)[target])


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(scores: list[float]) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def bpr(positive: float, negatives: list[float]) -> float:
    return sum(-math.log(sigmoid(positive - n)) for n in negatives) / len(negatives)


def bpr_max(positive: float, negatives: list[float]) -> float:
    weighed = list(zip(softmax(negatives), negatives, strict=True))
    beaten = sum(w * sigmoid(positive - n) for w, n in weighed)
    return -math.log(beaten) + sum(w * n * n for w, n in weighed)


def top1(positive: float, negatives: list[float]) -> float:
    return sum(sigmoid(n - positive) + sigmoid(n * n) for n in negatives) / len(negatives)


def top1_max(positive: float, negatives: list[float]) -> float:
    weighed = zip(softmax(negatives), negatives, strict=True)
    return sum(w * (sigmoid(n - positive) + sigmoid(n * n)) for w, n in weighed)


def ce_sampled(positive: float, negatives: list[float]) -> float:
    return -math.log(softmax([positive, *negatives])[0])


CATALOGUE_ORACLES = {"ce": cross_entropy}
SAMPLED_ORACLES = {
    "bpr": bpr,
    "bpr_max": bpr_max,
    "ce_sampled": ce_sampled,
    "top1": top1,
    "top1_max": top1_max,
}


@pytest.fixture(params=LOSSES)
def name(request: pytest.FixtureRequest) -> str:
    option: str = request.param
    return option


@pytest.fixture
def loss(name: str, config: Callable[..., DictConfig]) -> Loss:
    built: Loss = build(config("loss", name), "loss")
    return built


def test_a_loss_equals_brute_force(name: str, loss: Loss) -> None:
    torch.manual_seed(0)
    scores, target = 3 * torch.randn(8, SERVICES), torch.randint(SERVICES, (8,))
    rows = zip(scores.tolist(), target.tolist(), strict=True)
    if loss.needs_negatives:
        expected = [SAMPLED_ORACLES[name](row.pop(k), row) for row, k in rows]
    else:
        expected = [CATALOGUE_ORACLES[name](row, k) for row, k in rows]
    assert per_row(loss, scores, target).tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("promise", LOSS_PROMISES, ids=lambda promise: promise.__name__)
def test_a_loss_keeps_what_every_loss_promises(loss: Loss, promise: Callable[[Loss], str]) -> None:
    assert promise(loss) == ""


@pytest.mark.parametrize("name", SAMPLED_ORACLES)
@pytest.mark.parametrize("n_sample", [SERVICES // 2, 4 * SERVICES])
def test_scoring_candidates_only_equals_scoring_all_services(loss: Loss, n_sample: int) -> None:
    torch.manual_seed(0)
    head, states = ScoringHead(3, SERVICES), torch.randn(5, 3)
    target, negatives = torch.randint(SERVICES, (5,)), torch.randint(SERVICES, (5, n_sample))

    few = head.candidates(states, torch.cat([target[:, None], negatives], dim=1))
    scores = head(states)
    expected = loss(scores.gather(1, target[:, None]), scores.gather(1, negatives))  # type: ignore[operator]
    assert torch.allclose(loss(few[:, :1], few[:, 1:]), expected, atol=1e-6)  # type: ignore[operator]


def test_the_paper_s_example_of_bpr() -> None:
    # PAPER §4: target 2.1, negatives -2.1 and 1.5; sigmoid(4.2) = .985 and sigmoid(0.6) = .646
    found = BPR()(torch.tensor([[2.1]]), torch.tensor([[-2.1, 1.5]]))
    assert found.item() == pytest.approx(-(math.log(0.985) + math.log(0.646)) / 2, abs=1e-3)
