"""What every model promises, run over every YAML in configs/model: a new one needs no edit here."""

from collections.abc import Callable
from fnmatch import fnmatch

import pytest
from omegaconf import DictConfig

from dagrec_cli.config.where import config_dir
from dagrec_cli.promises.models import PROMISES, ModelOption

MODELS = sorted(path.stem for path in (config_dir() / "model").glob("*.yaml"))

# Names (or patterns) of models that break a promise on purpose; the test asserts that they do.
CANNOT_TELL_CONTEXTS_APART = {
    "popularity": "ignores the context by definition",
    "gru4rec_paper": "the published read-out sees nothing of a context but its length",
    "*_paper": "the paper's graph models see node types and the graph, in which chains look alike",
}
ON_PURPOSE = {
    "tells_contexts_apart": CANNOT_TELL_CONTEXTS_APART,
    "learns_ten_pairs": CANNOT_TELL_CONTEXTS_APART,
    "reads_what_merges": {
        **CANNOT_TELL_CONTEXTS_APART,
        "markov": "of order 1 unless it is told",
        "dag_gnn": "the graph's state",
        "dagnn2021": "the graph's state",
        "deep_dag": "the graph's state",
        "directed_dagnn": "the graph's state",
    },
    "trains_all_weights": {"gru4rec_paper": "reads the steps of padding"},
}


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_what_every_model_promises(
    name: str, promise: Callable[[ModelOption], str], config: Callable[..., DictConfig]
) -> None:
    seen = promise(ModelOption(config("model", name)))
    on_purpose = ON_PURPOSE.get(promise.__name__, {})
    assert bool(seen) == any(fnmatch(name, pattern) for pattern in on_purpose), seen


def test_the_weights_of_padding_are_all_that_the_published_model_does_not_train(
    config: Callable[..., DictConfig],
) -> None:
    trains_all_weights = next(each for each in PROMISES if each.__name__ == "trains_all_weights")
    seen = trains_all_weights(ModelOption(config("model", "gru4rec_paper")))
    assert seen == "no gradient reaches embedding.weight, gru.weight_ih_l0"
