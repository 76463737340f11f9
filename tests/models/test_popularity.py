from collections.abc import Callable

import numpy as np
import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.data.pairs import WeightedPairs
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.popularity import Popularity

CONTEXTS = Contexts(*paths([[1], [2, 3]]))


def counted(tiny: Dataset, ranking: str, target: list[int], weight: list[float]) -> Popularity:
    facts = Facts(tiny.vocabulary, tiny.graph(), tiny.followed)
    model = Popularity(facts, ranking=ranking, mask="none", owner="none")
    pairs = WeightedPairs(
        np.zeros(len(target), np.int32), np.array(target, np.int32), np.array(weight, np.float32)
    )
    model.count(pairs, CONTEXTS)
    return model


@pytest.mark.parametrize(
    ("ranking", "expected"), [("counts", [2, 0, 0, 3, 1]), ("one_hot", [0, 0, 0, 1, 0])]
)
def test_targets_are_counted_by_weight(tiny: Dataset, ranking: str, expected: list[float]) -> None:
    model = counted(tiny, ranking, [0, 0, 4, 3], [1, 1, 1, 3])
    assert model(CONTEXTS).tolist() == [expected, expected]


def test_counting_again_starts_anew(tiny: Dataset) -> None:
    model = counted(tiny, "counts", [0, 1], [1, 1])
    model.count(WeightedPairs(*(np.array([2], t) for t in "iif")), CONTEXTS)
    assert model(CONTEXTS)[0].tolist() == [0, 0, 2, 0, 0]


def test_of_two_favourites_the_lower_class_wins(tiny: Dataset) -> None:
    assert counted(tiny, "one_hot", [3, 1], [2, 2])(CONTEXTS)[0].tolist() == [0, 1, 0, 0, 0]


def test_an_unknown_ranking_is_refused(config: Callable[..., DictConfig]) -> None:
    with pytest.raises(ConfigError, match=r"model.ranking is 'ranks'; use one of one_hot, counts"):
        build(config("model", "popularity", ranking="ranks"), "model")
