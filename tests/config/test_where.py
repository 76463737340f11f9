"""A file of the user's that a built-in one hides is refused before anything runs."""

from pathlib import Path

import pytest

from dagrec_cli.config.where import check_own, config_dir, expanded
from dagrec_cli.errors import ConfigError

FILES = sorted(str(file.relative_to(config_dir())) for file in config_dir().rglob("*.yaml"))


def put(folder: Path, name: str, text: str = "{}\n") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.mark.parametrize("name", [*FILES, "hydra/output/default.yaml"])
def test_no_name_of_a_built_in_file(tmp_path: Path, name: str) -> None:
    own = put(tmp_path, name)
    with pytest.raises(ConfigError) as caught:
        check_own([str(tmp_path)])
    assert str(caught.value).startswith(f"{own} would be hidden by the built-in ")
    assert f"/{name}; rename it" in str(caught.value)


def test_other_names_and_the_built_in_folder_itself(tmp_path: Path) -> None:
    for name in ("model/mine.yaml", "mine/gru4rec.yaml", "gru4rec.yaml", "model/gru4rec.txt"):
        put(tmp_path, name)
    check_own([str(tmp_path), f"file://{tmp_path}", str(config_dir()), str(tmp_path / "none")])


def test_the_place_of_a_search_path_counts(tmp_path: Path) -> None:
    put(tmp_path, "loss/ce.yaml")
    with pytest.raises(ConfigError, match="would be hidden"):
        check_own([f"file://{tmp_path}"])


def test_paths_are_those_of_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/data/$x")
    monkeypatch.delenv("NONE", raising=False)
    put(tmp_path, "$HOME")
    for text, path in {
        "~/a": "/home/me/a",
        "$HOME/a": "/home/me/a",
        "${HOME}a/b": "/home/mea/b",
        "$DATA": "/data/$x",
        "$HOME": "$HOME",  # it lies there
        "~no_such_user/a": "~no_such_user/a",
        "a$/b$1/${seed}": "a$/b$1/${seed}",
    }.items():
        assert expanded(text) == path
    with pytest.raises(ConfigError, match=r"'a/\$NONE': no variable NONE is set; set it, or"):
        expanded("a/$NONE")
