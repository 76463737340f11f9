"""The YAMLs and the classes they describe fit each other; new ones are picked up by globbing."""

import inspect
import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from dagrec_cli import losses, models, samplers
from dagrec_cli.config.annotations import annotations_of
from dagrec_cli.config.build import build, check_loss_and_sampler, parameters_of
from dagrec_cli.config.comments import (
    OF_COMMANDS,
    group_words,
    option_line,
    option_names,
    option_of,
    words_of,
)
from dagrec_cli.config.kinds import unsaid
from dagrec_cli.config.where import config_dir
from dagrec_cli.losses.base import Loss
from dagrec_cli.models.base import Model
from dagrec_cli.samplers.base import Sampler

GROUPS = ["data", "logger", "loss", "model", "sampler", "split", "trainer"]

Config = Callable[[str, str], DictConfig]


def each_yaml(*groups: str) -> pytest.MarkDecorator:
    """Return a mark that runs a test for every YAML of the groups."""
    yamls = [path for group in groups for path in sorted((config_dir() / group).glob("*.yaml"))]
    return pytest.mark.parametrize("yaml", yamls, ids=[f"{y.parent.name}={y.stem}" for y in yamls])


def class_of(config: Config, yaml: Path) -> type:
    module, _, name = config(yaml.parent.name, yaml.stem)["_target_"].rpartition(".")
    cls: type = getattr(import_module(module), name)
    return cls


@each_yaml(*GROUPS)
def test_keys_are_the_settings_of_the_class(config: Config, yaml: Path) -> None:
    keys = [key for key in config(yaml.parent.name, yaml.stem) if key != "_target_"]
    assert sorted(map(str, keys)) == sorted(parameters_of(class_of(config, yaml)))


@each_yaml(*GROUPS)
def test_yaml_is_the_only_home_of_a_value(config: Config, yaml: Path) -> None:
    for ancestor in class_of(config, yaml).__mro__[:-1]:
        for parameter in inspect.signature(ancestor).parameters.values():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                assert parameter.default is inspect.Parameter.empty, parameter


@each_yaml(*GROUPS, "experiment", "table", ".")
def test_every_setting_is_explained(yaml: Path) -> None:
    group = yaml.parent.relative_to(config_dir()).as_posix()
    option = option_of(group, yaml.stem)
    above = "" if group in ("experiment", OF_COMMANDS) else f"{group}."
    unsaid = [k for k in option.settings if not (option.words.get(k) or words_of(f"{above}{k}"))]
    assert unsaid == []
    assert option.about


@each_yaml(*GROUPS, "experiment", "table")
def test_an_option_has_a_line_of_help(yaml: Path) -> None:
    longest = max(map(len, option_names(yaml.parent.name)))
    assert 0 < len(option_line(yaml.parent.name, yaml.stem)) <= 80 - len("*   ") - longest


@each_yaml(".")
def test_every_group_is_explained(yaml: Path) -> None:
    entries = OmegaConf.load(yaml).defaults
    groups = {key for entry in entries if entry != "_self_" for key in entry if " " not in key}
    assert groups <= set(group_words())


@each_yaml(*GROUPS)
def test_annotations_are_read_from_the_source(config: Config, yaml: Path) -> None:
    cls = class_of(config, yaml)
    read = annotations_of(f"{cls.__module__}.{cls.__qualname__}")
    for name, kind in parameters_of(cls).items():
        assert unsaid(read[name], "") == unsaid(kind, ""), name


@each_yaml(*GROUPS)
def test_the_code_is_named(yaml: Path) -> None:
    text = yaml.read_text()
    if target := re.search(r"^_target_: ([\w.]+)\.\w+$", text, re.MULTILINE):
        file = target[1].replace(".", "/")
        assert re.search(rf"^# (.* )?Code[\w ]*: {file}\.py$", text, re.MULTILINE)


@each_yaml("loss", "model", "sampler")
def test_every_source_is_named(config: Config, yaml: Path) -> None:
    cls = class_of(config, yaml)
    module = sys.modules[cls.__module__]
    assert "Source:" in f"{module.__doc__}{cls.__doc__}"


@each_yaml("data", "loss", "sampler", "split", "trainer")  # a model needs the data's facts
def test_every_option_can_be_built(config: Config, yaml: Path) -> None:
    built = build(config(yaml.parent.name, yaml.stem), yaml.parent.name)
    assert isinstance(built, class_of(config, yaml))


@pytest.mark.parametrize(
    ("package", "base", "group"),
    [(losses, Loss, "loss"), (models, Model, "model"), (samplers, Sampler, "sampler")],
)
def test_every_class_has_a_yaml(config: Config, package: object, base: type, group: str) -> None:
    path, name = package.__path__, package.__name__  # type: ignore[attr-defined]
    modules = [import_module(found.name) for found in walk_packages(path, f"{name}.")]
    concrete = {
        cls
        for module in modules
        for cls in vars(module).values()
        if inspect.isclass(cls) and issubclass(cls, base) and not inspect.isabstract(cls)
    } - {base}
    described = {class_of(config, yaml) for yaml in (config_dir() / group).glob("*.yaml")}
    assert concrete == described


@each_yaml("loss")
@pytest.mark.parametrize("sampler", [None, "uniform"])
def test_a_loss_brings_its_sampler_unless_one_is_named(yaml: Path, sampler: str | None) -> None:
    named = [f"sampler={sampler}"] if sampler else []
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        config = compose("train", [f"loss={yaml.stem}", *named])
    loss, drawn = build(config.loss, "loss"), build(config.sampler, "sampler")
    if not sampler:
        check_loss_and_sampler(
            yaml.stem, needs_negatives=loss.needs_negatives, n_sample=drawn.n_sample
        )
    else:
        assert type(drawn).__name__ == "UniformSampler"
