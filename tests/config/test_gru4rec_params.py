"""The parameter strings of GRU4Rec's authors, as their README and parameter files have them."""

import pytest

from dagrec_cli.config.compose import composed
from dagrec_cli.config.gru4rec_params import OFFICIAL_PARAMS, settings_of_params
from dagrec_cli.errors import ConfigError

RETAILROCKET = (
    "layers=224,batch_size=80,dropout_p_embed=0.5,dropout_p_hidden=0.05,learning_rate=0.05,"
    "momentum=0.4,n_sample=2048,sample_alpha=0.4,bpreg=1.95,logq=0.0,loss=bpr-max,"
    "constrained_embedding=True,elu_param=0.5,n_epochs=10"
)


def test_a_string_is_taken_as_it_is() -> None:
    config = composed("train", ["experiment=gru4rec_official", f"model.params={RETAILROCKET}"])
    assert (config.model.layers, config.model.node_input) == ([224], "tied")
    assert (config.model.dropout_embed, config.model.dropout_hidden) == (0.5, 0.05)
    assert config.loss._target_.endswith("BPRMax")
    assert config.loss.regularisation == 1.95
    assert config.sampler._target_.endswith("NoSampler")
    trainer = config.trainer
    assert (trainer.epochs, trainer.batch_size, trainer.n_sample) == (10, 80, 2048)
    assert (trainer.learning_rate, trainer.momentum) == (0.05, 0.4)
    assert (trainer.sample_alpha, trainer.elu, trainer.logq) == (0.4, 0.5, 0.0)
    assert {
        part.partition("=")[0] for part in RETAILROCKET.split(",")
    } == OFFICIAL_PARAMS.keys() - {"embedding"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("embedding=32,constrained_embedding=False", "node_input=own model.embedding_dim=32"),
        (
            "constrained_embedding=0,layers=7,embedding=layersize",
            "layers=[7] model.node_input=own model.embedding_dim=7",
        ),
        ("constrained_embedding=False", "node_input=one_hot"),
        ("constrained_embedding=False,embedding=0", "node_input=one_hot"),
        ("embedding=0", "node_input=tied"),
    ],
)
def test_two_of_them_make_the_first_layer(text: str, words: str) -> None:
    assert " ".join(settings_of_params(text)) == f"model.{words}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("layers", "'layers', which is no name=value"),
        ("", "which is no name=value"),
        ("layer=128", "no 'layer'; did you mean layers"),
        ("layers=0", "layers is .0.; use a list of whole numbers of 1 or more"),
        ("layers=1/x", "layers is .1, 'x'."),
        ("loss=top1", "loss is 'top1'; use one of cross-entropy, bpr-max"),
        ("momentum=1", "momentum is 1; use a number from 0"),
        ("learning_rate=nan", "learning_rate is nan"),
        ("constrained_embedding=yes", "is 'yes'; use true or false"),
        ("logq=1,logq=0", "logq twice"),
    ],
)
def test_a_wrong_string_is_told_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^model.params.*{said}[^\n]*$"):
        settings_of_params(text)
