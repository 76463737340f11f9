"""The command line itself: help, version, completion, what happens to a wrong word."""

import os
import subprocess
import sys
from collections.abc import Callable
from os import terminal_size
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from omegaconf import OmegaConf

from dagrec_cli import __version__
from dagrec_cli.app import hydra_main
from dagrec_cli.cli import COMMANDS
from dagrec_cli.config.comments import group_words
from dagrec_cli.config.compose import composed
from dagrec_cli.config.deciding import flat
from dagrec_cli.config.where import config_dir

ROOT = Path(__file__).parents[2]
WITHOUT_SETTINGS = {"check", "guide", "new"}

Dagrec = Callable[..., Any]


def python(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=cwd, env=environment
    )


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let help take the terminal for one of 80 columns, as where it is none."""
    monkeypatch.setattr("dagrec_cli.app.help.get_terminal_size", lambda: terminal_size((80, 9)))


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(dagrec: Dagrec, words: list[str]) -> None:
    answer = dagrec(*words)
    assert (answer.code, answer.err) == (0, "")
    for command, promise in COMMANDS.items():
        assert f"  {command} " in answer.out
        assert promise in answer.out


@pytest.mark.parametrize("words", [["--version"], ["-V"], ["train", "--version"]])
def test_version(dagrec: Dagrec, words: list[str]) -> None:
    assert dagrec(*words).out == f"dagrec {__version__}\n"


@pytest.mark.parametrize("command", [each for each in COMMANDS if each not in WITHOUT_SETTINGS])
@pytest.mark.usefixtures("narrow")
def test_every_command_has_a_module_a_config_and_help(dagrec: Dagrec, command: str) -> None:
    name = command.replace(" ", "_")
    answer = dagrec(*command.split(), "--help")
    assert (answer.code, answer.err) == (0, "")
    assert f"Usage: dagrec {command} " in answer.out
    assert "  dagrec " + command in answer.out.partition("Example")[2]
    defaults = OmegaConf.load(config_dir() / f"{name}.yaml").defaults
    groups = {key for entry in defaults if entry != "_self_" for key in entry if " " not in key}
    above = answer.out.partition("Settings\n")[0]
    assert groups == {group for group in group_words() if f"\n{group}: " in above}
    config = composed(command, [])
    keys = [key for key, _ in flat(OmegaConf.to_container(config)) if not key.startswith("hydra.")]
    for key in keys:
        assert (f"\n  {key}=" in answer.out) == (not key.endswith("_target_")) or "lengths" in key
    assert max(map(len, answer.out.splitlines())) <= 80


@pytest.mark.usefixtures("narrow")
def test_help_of_train_tells_of_options_and_settings(dagrec: Dagrec) -> None:
    text = dagrec("train", "--help", "model=sasrec", "model.heads=2").out
    assert (
        "\n* sasrec                Self-attention over last nodes (Kang & McAuley, 2018)\n" in text
    )
    assert "\n  markov                Counts of what followed the last nodes\n" in text
    assert "\nmodel=sasrec\n" in text
    assert "\n  model.heads=2             attention heads (1 and up)\n" in text
    assert "  data.lengths={2:886,3:41,4:16}  path length in nodes: weight;" in text
    assert "dagrec train model=gru4rec loss=bpr" in text


def test_help_is_as_wide_as_the_terminal(dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagrec_cli.app.help.get_terminal_size", lambda: terminal_size((130, 9)))
    meaning = "share of state coordinates zeroed between layers and before the head"
    assert (
        f"  model.dropout_hidden=0.4  {meaning} (0 and up, below 1)\n"
        in dagrec("train", "--help").out
    )


@pytest.mark.usefixtures("narrow")
def test_help_of_a_group_and_of_an_option(dagrec: Dagrec) -> None:
    assert "\n  bpr         BPR (Rendle et al., 2009) over" in dagrec("help", "loss").out
    text = dagrec("help", "loss=bpr_max").out
    assert text.startswith("loss=bpr_max: BPR-max (Hidasi & Karatzoglou, 2018); brings sampler=")
    assert "\n  loss.regularisation=1.0  weight of the squared scores (0 and up)\n" in text
    assert dagrec("help", "loss", "bpr_max").out == dagrec("help", "loss.bpr_max").out == text
    both = dagrec("help", "data").out
    assert "  data describe " in both
    assert "\n  geoportal " in both
    search = dagrec("help", "experiment=search").out
    assert "\n  trainer.patience=30           validations without a new best" in search
    dag = dagrec("help", "experiment=dag").out  # it chooses model=gru4rec
    assert "\n  model.num_layers=1      stacked GRU layers (1 and up)\n" in dag


def test_help_of_an_option_of_ones_own(dagrec: Dagrec, tmp_path: Path) -> None:
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/wide.yaml").write_text(
        "# Wider: for more data.\ndefaults: [gru4rec]\nhidden: 512  # as wide\n   # as can be\n"
    )
    assert "\n  wide                  Wider\n" in dagrec("help", "model", "-cd", "mine").out
    for words in (["help", "-cd", "mine", "model=wide"], ["train", "--help", "-cd", "mine"]):
        text = dagrec(*words, *["model=wide"] * (words[0] == "train")).out
        assert "\n  model.hidden=512          as wide as can be (1 and up)\n" in text
        assert "  model.num_layers=2        stacked GRU layers (1 and up)\n" in text


def test_help_may_come_first(dagrec: Dagrec) -> None:
    assert dagrec("help", "train").out == dagrec("train", "--help").out


def test_cfg_job_prints_the_config_and_runs_nothing(dagrec: Dagrec, tmp_path: Path) -> None:
    answer = dagrec("train", "--cfg", "job", "trainer.epochs=7")
    assert answer.code == 0
    assert "  epochs: 7\n" in answer.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "offer"),
    [
        (["trian"], "did you mean train?"),
        (["data", "validat"], "did you mean data validate?"),
        (["data", "xyz"], "commands: data describe, data validate, "),
        (["xyz"], "commands: train, "),
        (["help", "modl"], "did you mean model?"),
        (["help", "/"], "groups: data, split, "),
        (["help", "model=gru4rek"], "did you mean gru4rec?"),
        (["help", "data", "validat"], "did you mean validate?"),
        (["train", "model=gru4rek"], "did you mean gru4rec?"),
        (["train", "modle=gru4rec"], "did you mean model=gru4rec?"),
        (["train", "model=popularity,gru4rec"], "model has several options; add -m to run each."),
        (["train", "seed=0,1"], "add -m to run each, or seeds=[0,1]."),
        (
            ["data", "validate", "/"],
            "name the data as data=READER data.path=/; dagrec help data lists readers.",
        ),
        (["evaluate", "run=outputs/nope"], "outputs/nope: no such folder"),
        (["train", "model=gru4rec_paper", "model.maxlen=3"], "did you mean model.max_len=3?"),
        (["train", "+epochs=3"], "unknown setting 'epochs'"),
        (["train", "+model.hiden=3"], "did you mean model.hidden?"),
        (["train", "--epochs", "3"], "write trainer.epochs=3, without dashes."),
        (["train", "--multirn"], "did you mean --multirun?"),
        (["train", "--cfg", "jop"], "choose from 'job', 'hydra', 'all'"),
        (["reproduce", "overrides=[a.b=1,c=2]"], """: 'overrides=["a.b=1","c=2"]'."""),
        (["train", "seed=1", "-m", "model=a"], "before 'model=a'; write flags before all settings"),
        (["reproduce", "overrides=a"], "overrides is 'a'; give a list"),
        (["reproduce", "seeds=0"], "seeds is 0; give a list"),
        (["reproduce", "seeds=[0,x]"], "seed is 'x'"),
        (["train", "model=null"], "as in model=gru4rec"),
        (["train", "model=[gru4rec,sasrec]"], "to run each, write -m model=gru4rec,sasrec."),
        (["train", "--config", "x.yaml"], "--config could match --config-path, "),
        (["train", "-sc"], "dagrec -sc install=bash"),
    ],
)
def test_a_wrong_word_gets_one_line_with_an_offer(
    dagrec: Dagrec, tmp_path: Path, words: list[str], offer: str
) -> None:
    assert offer in dagrec(*words).refusal
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["--experimental-rerun=x.pickle", "--exp=x.pickle"])
def test_a_pickle_is_never_read(dagrec: Dagrec, flag: str) -> None:
    answer = dagrec("train", flag)
    assert answer.code == 2
    assert "reads a pickle and is not supported" in answer.err


@pytest.mark.parametrize("switch", [{"DAGREC_DEBUG": "1"}, {}])
def test_a_traceback_only_where_it_is_asked_for(dagrec: Dagrec, switch: dict[str, str]) -> None:
    words = [] if switch else ["hydra.verbose=true"]
    with patch.dict(os.environ, switch), pytest.raises(Exception, match="hidden is 0"):
        dagrec("train", "model.hidden=0", *words)


def test_a_defect_of_the_program_keeps_its_traceback(dagrec: Dagrec) -> None:
    with (
        patch.object(hydra_main, "config_dir", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        dagrec("train")


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("dagrec tr", ["train"]),
        ("dagrec data ", sorted(c.split()[1] for c in COMMANDS if c.startswith("data "))),
        ("dagrec data d", ["describe"]),
        ("dagrec xyz", []),
        ("dagrec help mo", ["model"]),
        ("dagrec help loss=bp", ["loss=bpr", "loss=bpr_max"]),
        ("dagrec train model=gru4rec_p", ["model=gru4rec_paper"]),
        ("dagrec train loss=bp", ["loss=bpr", "loss=bpr_max"]),
        ("dagrec train trainer.ep", ["trainer.epochs="]),
        ("dagrec  data  describe  form", ["format="]),
        ("./train/dagrec train trainer.ep", ["trainer.epochs="]),
    ],
)
def test_completion(
    dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch, line: str, offers: list[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    answer = dagrec("-sc", "query=bash")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.split() == offers


def test_completion_of_an_empty_line_offers_the_first_words_of_all_commands(
    dagrec: Dagrec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", "dagrec ")
    words = {command.split()[0] for command in COMMANDS}
    assert dagrec("-sc", "query=bash").out.split() == sorted(words)


def test_the_completion_script_completes_dagrec(dagrec: Dagrec) -> None:
    script = dagrec("-sc", "install=bash").out
    assert "complete -o nospace -o default -F hydra_bash_completion dagrec" in script


def test_python_m_and_a_reader_that_leaves(tmp_path: Path) -> None:
    done = python("-m", "dagrec_cli", "train", "--cfg", "job", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "data:\n  _target_: dagrec_cli." in done.stdout
    command = f"{sys.executable} -m dagrec_cli train --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode in (0, 141)
    assert done.stderr == ""


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from dagrec_cli.cli import main; sys.argv = ['dagrec', '--help']; main();"
        "print(sorted({'torch', 'hydra', 'omegaconf', 'numpy'} & set(sys.modules)))"
    )
    done = python("-c", code, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_of_a_command_imports_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from dagrec_cli.cli import main; sys.argv = 'dagrec train --help'.split();"
        "main(); print('torch' in sys.modules)"
    )
    assert python("-c", code, cwd=tmp_path).stdout.splitlines()[-1] == "False"


def test_the_folder_of_the_user_stays(dagrec: Dagrec, tmp_path: Path) -> None:
    """A mistake removes what it made, never the (empty) folder that the user stands in."""
    answer = dagrec("train", "trainer.epochs=0", "hydra.run.dir=.")
    assert answer.code == 2
    assert tmp_path.is_dir()
