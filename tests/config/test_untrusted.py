"""What a stranger's run folder must not make the program do."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from dagrec_cli.config.untrusted import checked_node, read_config
from dagrec_cli.config.where import config_dir
from dagrec_cli.errors import RunError

FILE = Path("run/config.yaml")
DATA = sorted((config_dir() / "data").glob("*.yaml"))


def data_node(name: str, **changes: Any) -> dict[str, Any]:
    node = OmegaConf.to_container(OmegaConf.load(config_dir() / "data" / f"{name}.yaml"))
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()} | changes


@pytest.mark.parametrize("name", [file.stem for file in DATA])
def test_our_own_data_are_read_again(name: str) -> None:
    node = data_node(name)
    assert checked_node({"data": node}, "data", FILE) == node


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"path": "/etc/passwd"}, "data.path is '/etc/passwd'; a run folder may only name paths"),
        ({"path": "~/secret.json"}, "below the working folder"),
        ({"path": "data/../../secret.json"}, "below the working folder"),
        ({"path": r"C:\secret.json"}, "below the working folder"),
        ({"path": ["fine.json", r"..\secret.json"]}, "below the working folder"),
        ({"path": "data\0.json"}, "below the working folder"),
        ({"max_paths": 10**7 + 1}, "data.max_paths is 10000001; from a run folder 10,000,000 is"),
        ({"max_paths": [-(10**8)]}, "data.max_paths is -100000000; from a run folder 10,000,000"),
        ({"path": "${oc.env:HOME}"}, "must not look anything up"),
        ({"${oc.env:HOME}": 1}, "must not look anything up"),
        ({"_target_": "subprocess.Popen"}, "code of subprocess would run; if you trust it, add"),
        (
            {"_target_": "dagrec_cli.models.markov.Markov"},
            "may only name classes that an option of configs/data",
        ),
        ({"_target_": None}, "may only name classes that an option of configs/data"),
    ],
)
def test_what_leads_outside_is_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(RunError) as caught:
        checked_node({"data": data_node("compositions", **changes)}, "data", FILE)
    assert expected in str(caught.value)


def test_a_seed_may_be_large_and_a_path_that_the_user_names_lead_anywhere() -> None:
    large = data_node("synthetic", seed=2**32 - 1, compositions=10**7)
    assert checked_node({"data": large}, "data", FILE) == large
    elsewhere = data_node("compositions", path="/etc/data.json")
    assert checked_node({"data": elsewhere}, "data", FILE, is_trusted=True) == elsewhere


def test_only_public_files_are_fetched() -> None:
    public = data_node("geoportal")["download"]
    other = {**public, "url": "https://stranger.example/data.json"}
    assert checked_node({"data": data_node("geoportal")}, "data", FILE).download == public
    with pytest.raises(RunError, match=r"data\.download is no public file"):
        checked_node({"data": data_node("geoportal", download=other)}, "data", FILE)


def test_a_config_nests_as_deeply_as_one_does_and_holds_no_alias() -> None:
    nested = [f"a: {'[' * lists}{']' * lists}" for lists in (19, 20)]  # in a mapping
    assert list(read_config(nested[0], FILE)) == ["a"]
    with pytest.raises(RunError, match=r"config\.yaml: it nests more than 20 deep"):
        read_config(nested[1], FILE)
    with pytest.raises(RunError, match=r"it holds an alias, \*b; write the value itself"):
        read_config("a: &b 1\nc: *b", FILE)
