"""What a newcomer types first, and the line that leads from there."""

import sys
from pathlib import Path

import pytest

from dagrec_cli.app.hints import (
    several_values,
    unknown_flag,
    unknown_option,
    unknown_setting,
    unreadable,
)
from dagrec_cli.config.comments import commands_with, group_words, option_names

FLAGS = ("--help", "--multirun", "--version", "-m")


def line_of(command: str, words: list[str]) -> str:
    """Return what is said of the last word that Hydra does not take."""
    if words[0].startswith("--"):
        return unknown_flag(words[0], FLAGS, command)
    for word in words:
        key, is_setting, value = word.partition("=")
        if not is_setting or not word.isascii() or set("#\n[") & set(word):
            return unreadable(word, command)
        if (
            key in group_words()
            and command in commands_with(key)
            and value not in option_names(key)
            and "," not in value
        ):
            return unknown_option(key, value, option_names(key))
    return unknown_setting(key, command)


@pytest.mark.parametrize(
    ("line", "lead"),
    [
        ("train lr=0.01", "did you mean trainer.learning_rate=0.01? dagrec train --help lists"),
        ("train trainer.lr=0.01", "did you mean trainer.learning_rate=0.01?"),
        ("train ratio=0.2", "did you mean split.test_share=0.2?"),
        ("train split.ratio=0.2", "did you mean split.test_share=0.2?"),
        ("train epochs=5", "did you mean trainer.epochs=5?"),
        ("train device=cuda", "did you mean trainer.device=cuda?"),
        ("train trainer.hidden=3", "did you mean model.hidden=3?"),
        ("train random_state=3", "did you mean seed=3?"),
        (
            "train trainer=full_batch batch_size=32",
            "did you mean trainer.batch_size=32 with trainer=distributed or ",
        ),
        ("train verbose=", "did you mean hydra.verbose=true?"),
        ("train outdir=x", "did you mean hydra.run.dir=x?"),
        ("train dataset=geoportal", "did you mean data=geoportal?"),
        ("train dataset=x.csv", "did you mean data=edges data.path=x.csv?"),
        ("train data=x.csv", "data is how to read a file: data=edges data.path=x.csv."),
        ("train data.path=x.ga.gz", "name what reads it, too: data=galaxy_workflows data.path=x."),
        ("train data.download=x", "add data=compositions or data=geoportal."),
        ("train path=some.jsonl", "did you mean data=n8n_workflows data.path=some.jsonl?"),
        ("train some.jsonl", "name the data as data=n8n_workflows data.path=some.jsonl."),
        ("train folder/", "data=READER data.path=folder/; dagrec help data lists readers."),
        ("train config.yaml", "-cd FOLDER experiment=NAME reads FOLDER/experiment/NAME.yaml."),
        ("train gru4rec", "'gru4rec' is no setting; write model=gru4rec."),
        ("train model", "write model=OPTION; dagrec help model lists them."),
        ("train model gru4rec", "write model=gru4rec; dagrec help model lists them."),
        ("train resume outputs/x", "write resume=outputs/x."),
        ("train table=summary", "dagrec train has no group 'table'; dagrec reproduce has."),
        ("train trainer=adam", "did you mean trainer.optimizer=VALUE?"),
        ("evaluate dataset=x.csv", "did you mean data=edges data.path=x.csv?"),
        ("train model:gru4rec", "write model=gru4rec."),
        ("train resume", "write resume=VALUE."),
        ("train xyz", "write setting=value, and a list as seeds=[0,1]."),
        ("train --model gru4rec", "write model=gru4rec, without dashes."),
        ("train --epochs=5", "write trainer.epochs=5, without dashes."),
        ("train --multirn", "did you mean --multirun?"),
        ("train --zzz", "--help lists them."),
        ("train loss=cross_entropy", "did you mean ce?"),
        ("train model=transformer", "did you mean sasrec?"),
        ("train split=kfold", "did you mean split.folds=VALUE?"),
        ("train seed=a#b", """quote what it holds: 'seed="a#b"'."""),
        ("train seeds=[服务]", """quote what it holds: 'seeds=["服务"]'."""),
        ("train hydra.run.dir=a\nb", "write it without line breaks and control characters."),
        (
            "train -m split=composition,temporal split.folds=2",
            "split=temporal has no setting 'folds'; leave it out, or run without: "
            "split=composition split.folds=2.",
        ),
        (
            "train -m trainer=mini_batch,distributed trainer.batch_size=9",
            "write ++trainer.batch_size=9.",
        ),
        (
            "train -m split=cold,temporal split.folds=2",
            "temporal have no setting 'folds'; leave it",
        ),
        ("predict k=3", "did you mean top_k=3?"),
        ("predict outputs/train/RUN", "name the run folder as run=outputs/train/RUN."),
        ("predict context=[a b] top_k=3", "one word, as in 'context=[a b]'."),
        (
            "evaluate run=r split.part=0",
            "the split is the run's own, as it was, unless one is chosen; leave split.part out, or "
            "write split=OPTION split.part=0.",
        ),
        (
            "evaluate run=r data.path=x.csv",
            "leave data.path out, or write data=edges data.path=x.csv.",
        ),
        ("reproduce suite", "write table=suite."),
        ("train top_k=5", "'top_k'; dagrec predict has it. dagrec train --help lists all of them."),
        ("compare progress=false", "dagrec reproduce and dagrec train have it. dagrec compare"),
        ("serve x", "no folder x is here to be run=x; write setting=value, and"),
    ],
)
def test_a_wrong_line_leads_to_the_right_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str, lead: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("some.jsonl").write_text('{"nodes": [], "connections": {}}\n')
    command, *words = line.split(" ")
    monkeypatch.setattr(sys, "argv", ["dagrec", *words])
    assert lead in line_of(command, [word for word in words if word != "-m"])


@pytest.mark.parametrize(
    ("key", "values", "lead"),
    [
        ("split.test_share", "0,3", "write split.test_share=0.3, or add -m to run each."),
        ("split.test_share", "0.1,0.3", "add -m to run each, or write a list:"),
        ("seed", "0,1", "add -m to run each, or seeds=[0,1]."),
    ],
)
def test_a_comma_may_begin_decimals(
    monkeypatch: pytest.MonkeyPatch, key: str, values: str, lead: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["dagrec", f"{key}={values}"])
    assert lead in several_values(key, values, "train")
