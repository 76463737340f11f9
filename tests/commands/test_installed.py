"""Configs that an installed package brings by the entry point group ``dagrec.configs``."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dagrec_cli

Dagrec = Callable[..., Any]

INIT = "raise RuntimeError('a package is not imported for its configs')\n"
CODE = "from dagrec_cli.models.popularity import Popularity\n\nclass Mine(Popularity):\n    pass\n"
YAML = "_target_: plug_code.Mine\nranking: counts\nmask: none\n"
TABLE = "rows: [{name: mine, overrides: [model=plugged]}]\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function of files that installs a package, as far as Python sees."""
    site = tmp_path / "site"

    def put(value: str, files: dict[str, str]) -> None:
        entries = f"[dagrec.configs]\nplug = {value}\n"
        info = {"METADATA": "Name: plug\nVersion: 1\n", "entry_points.txt": entries}
        files |= {f"plug-1.dist-info/{name}": text for name, text in info.items()}
        for name, text in files.items():
            file = site / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        monkeypatch.syspath_prepend(site)
        importlib.invalidate_caches()

    yield put
    sys.modules.pop("plug_code", None)


@pytest.mark.slow
def test_its_models_and_tables_have_names(
    dagrec: Dagrec, install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "plug/__init__.py": INIT,
        "plug_code.py": CODE,
        "plug/configs/model/plugged.yaml": YAML,
    }
    install("plug.configs", {**files, "plug/configs/table/plugs.yaml": TABLE})
    answer = dagrec("train", "model=plugged", "hydra.run.dir=r")
    assert (answer.code, answer.err) == (0, "")
    assert "plugged" in dagrec("train", "--help").out
    assert dagrec("predict", "run=r", "context=[service_1]", "trust=plug_code").code == 0
    refused = dagrec("predict", "run=r", "context=[service_1]")
    assert "code of plug_code would run; if you trust it, add trust=plug_code" in refused.err
    assert dagrec("reproduce", "table=plugs", "seeds=[0]").code == 0
    monkeypatch.chdir(tmp_path)
    assert dagrec_cli.train("model=plugged").recommend(["service_1"])
    assert dagrec("train", "resume=r", "trust=plug_code").code == 0


@pytest.mark.parametrize(
    ("value", "files", "said"),
    [
        ("plug.configs", {"plug/__init__.py": ""}, "names 'plug.configs', but there is no such"),
        ("nothing", {}, "names 'nothing', but there is no such folder"),
        ("plug", {"plug/model/gru4rec.yaml": YAML}, "gru4rec.yaml would be hidden by the built-in"),
        ("plug", {"plug/model/both.yaml": YAML}, "mine/model/both.yaml would be hidden by"),
    ],
)
def test_what_it_lacks_or_hides_is_one_line(
    dagrec: Dagrec,
    install: Callable[..., None],
    tmp_path: Path,
    value: str,
    files: dict[str, str],
    said: str,
) -> None:
    (tmp_path / "mine/model").mkdir(parents=True)
    (tmp_path / "mine/model/both.yaml").write_text(YAML)
    install(value, files)
    assert said in dagrec("train", "-cd", "mine").refusal
