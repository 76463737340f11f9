"""What is said in messages: how an extra is installed."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from dagrec_cli import errors

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("place", "pip", "command"),
    [
        (ROOT, "", "pip install -c constraints.txt -e '.[search]'"),
        (ROOT.parent, "", f"pip install -c {ROOT.name}/constraints.txt -e '{ROOT.name}[search]'"),
        (Path("/"), "/usr/bin/pip", "bin/python -m pip install -c "),
    ],
)
def test_an_extra_in_a_clone(
    monkeypatch: pytest.MonkeyPatch, place: Path, pip: str, command: str
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("shutil.which", lambda name: pip or str(Path(sys.executable).parent / name))
    assert command in errors.install("search")


@pytest.mark.parametrize(
    ("origin", "source"),
    [
        ("", ""),
        ('{"url": "file:///a/dagrec.whl", "archive_info": {}}', " @ file:///a/dagrec.whl"),
        ('{"url": "https://host/d", "vcs_info": {"vcs": "git"}}', " @ git+https://host/d"),
    ],
)
def test_an_extra_of_an_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, origin: str, source: str
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            return origin or None

    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site/dagrec_cli/errors.py"))
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())
    assert errors.install("search").endswith(f"pip install 'dagrec[search]{source}'")
