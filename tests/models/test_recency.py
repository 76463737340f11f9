from collections.abc import Callable

import numpy as np
import pytest
from omegaconf import DictConfig

from dagrec_cli.config.build import build
from dagrec_cli.data.composition import Composition
from dagrec_cli.data.contexts import paths
from dagrec_cli.data.dataset import Dataset
from dagrec_cli.experiment.fit import count
from dagrec_cli.models.base import CountingModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.training.split_data import SplitData

STEPS = [  # in the order of the file: what is walked, by whom, when it ends
    ("t1 s3", "ann", 9.0),
    ("t1 s1", "ann", 1.0),
    ("t1 s2", "bob", 3.0),
    ("t2 s4", "ann", 10.0),
    ("t2 s1", "bob", 2.0),
    ("t1 s2", "ann", 5.0),
    ("t2 s3", "bob", 2.0),
]


@pytest.mark.parametrize(
    ("context", "owner", "has_times", "expected"),
    [
        ("table_1", 1, True, [3, 2, 1, 4]),  # ann: s3 at 9, s2 at 5, s1 at 1; then what is left
        ("table_1", 2, True, [3, 1, 2, 4]),  # bob: s2; else s3 at 9, s1 at 1
        ("table_1", 0, True, [3, 2, 1, 4]),  # nobody known: all the same without the owner
        ("table_2", 1, True, [2, 4, 2, 1]),  # ann: s4; s1 and s3 both at 2, then s2
        ("service_1", 2, True, [4, 3, 2, 1]),  # never a last node: s4 at 10, s3 at 9, s2 at 5
        ("table_1", 1, False, [2, 1, 3, 4]),  # in the order of the file
    ],
)
def test_the_last_to_follow_comes_first(
    walks: Callable[..., Composition],
    dataset_of: Callable[[list[Composition]], Dataset],
    config: Callable[..., DictConfig],
    context: str,
    owner: int,
    has_times: bool,
    expected: list[int],
) -> None:
    dataset = dataset_of(
        [
            walks(walk, time=0.0 if has_times else None)._replace(owner=who, end_time=end)
            for walk, who, end in STEPS
        ]
    )
    if not has_times:
        dataset.end_time[3] = np.nan
    split = build(config("split", "paper"), "split")
    data = SplitData.of(dataset, split, reads_owners=True).whole()
    model: CountingModel = build(config("model", "recency", owner="prior"), "model", data.facts)
    count(model, data, 1.0)
    dag, entries = paths([[dataset.vocabulary.index[context]]])
    scores = model(Contexts(dag, entries, owner=np.array([owner], np.int32)))
    assert scores.neg().exp().round().int().tolist() == [expected]
