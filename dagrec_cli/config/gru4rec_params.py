"""The parameter strings of GRU4Rec's authors, as settings of dagrec.

``model.params="layers=128,loss=bpr-max,bpreg=1.95"`` is what their ``-ps`` takes. It stands for
the settings that it names and no others, so that each has one home: a later word may change it,
a search may vary it, and the run folder shows it under its own name.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from dagrec_cli.config.kinds import Count, Natural, NotNegative, OneOf, Positive, Share, check
from dagrec_cli.errors import ConfigError, did_you_mean

PARAMS = "model.params"
OFFICIAL_LOSSES = {"cross-entropy": "ce", "bpr-max": "bpr_max"}
TRUE_OR_FALSE = {"True": True, "1": True, "False": False, "0": False}


def settings_of_params(text: str) -> list[str]:
    """Return the settings that a parameter string stands for, as words of the command line.

    Settings of the loss that it does not choose are left out, as the authors do not read them.

    Raises
    ------
    ConfigError
        If it is no such string, or a value is out of its range.

    >>> settings_of_params("layers=100/50,loss=cross-entropy,logq=1.0,bpreg=0.0")
    ['model.layers=[100,50]', 'loss=ce', 'sampler=none', 'trainer.logq=1.0']
    """
    given = _parsed(text)
    is_bpr = given.get("loss", "cross-entropy") == "bpr-max"
    unread = {"logq"} if is_bpr else {"bpreg", "elu_param"}
    words = []
    for name, value in given.items():
        key = OFFICIAL_PARAMS[name][0]
        if name == "loss":
            words += [f"loss={OFFICIAL_LOSSES[str(value)]}", "sampler=none"]
        elif key and name not in unread:
            words.append(f"{key}={value}".replace(" ", ""))
    return words + _node_input(given)


def _parsed(text: str) -> dict[str, object]:
    given: dict[str, object] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(
                f"{PARAMS} has {part!r}, which is no name=value; it is a list such as "
                "layers=128,loss=bpr-max."
            )
        if name not in OFFICIAL_PARAMS:
            hint = did_you_mean(name, OFFICIAL_PARAMS)
            raise ConfigError(
                f"{PARAMS} has no {name!r}; {hint}it has {', '.join(OFFICIAL_PARAMS)}."
            )
        if name in given:
            raise ConfigError(f"{PARAMS} has {name} twice; give it once.")
        _, read, kind = OFFICIAL_PARAMS[name]
        given[name] = read(value)
        check(f"{PARAMS} {name}", given[name], kind)
    return given


def _node_input(given: Mapping[str, object]) -> list[str]:
    """Return what two of their parameters say of the first layer together."""
    if not given.keys() & {"embedding", "constrained_embedding"}:
        return []
    if given.get("constrained_embedding", True):
        return ["model.node_input=tied"]
    width = given.get("embedding", 0)
    if not width:
        return ["model.node_input=one_hot"]
    if width == "layersize":
        layers = given.get("layers", [100])
        width = layers[0] if isinstance(layers, list) else width
    return ["model.node_input=own", f"model.embedding_dim={width}"]


def _number(text: str) -> object:
    """Return the number that a text is; another text as it is, for the message."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def _numbers(text: str) -> object:
    return [_number(each) for each in text.split("/")]


def _boolean(text: str) -> object:
    return TRUE_OR_FALSE.get(text, text)


OFFICIAL_PARAMS: dict[str, tuple[str, Callable[[str], object], Any]] = {
    "layers": ("model.layers", _numbers, list[Count]),
    "loss": ("", str, Annotated[str, OneOf(OFFICIAL_LOSSES)]),
    "batch_size": ("trainer.batch_size", _number, Count),
    "dropout_p_embed": ("model.dropout_embed", _number, Share),
    "dropout_p_hidden": ("model.dropout_hidden", _number, Share),
    "learning_rate": ("trainer.learning_rate", _number, Positive),
    "momentum": ("trainer.momentum", _number, Share),
    "sample_alpha": ("trainer.sample_alpha", _number, NotNegative),
    "n_sample": ("trainer.n_sample", _number, Natural),
    "embedding": ("", _number, Natural | Literal["layersize"]),
    "constrained_embedding": ("", _boolean, bool),
    "n_epochs": ("trainer.epochs", _number, Count),
    "bpreg": ("loss.regularisation", _number, NotNegative),
    "elu_param": ("trainer.elu", _number, NotNegative),
    "logq": ("trainer.logq", _number, NotNegative),
}
