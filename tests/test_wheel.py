"""The wheel, installed elsewhere, runs from any folder with the configs that it ships."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a checkout and unpack it, as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*build, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("dagrec-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def start(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dagrec_cli", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"},
    )


def run(installed: Path, cwd: Path, *words: str) -> str:
    done = start(installed, cwd, *words)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_it_holds_the_package_and_every_config_and_nothing_else(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {
        "dagrec_cli"
    }
    assert (installed / "dagrec_cli/py.typed").is_file()
    assert (installed / "dagrec_cli/serving/page.html").is_file()
    shipped = installed / "dagrec_cli/configs"
    names = {path.relative_to(shipped) for path in shipped.rglob("*.yaml")}
    assert names == {path.relative_to(ROOT / "configs") for path in ROOT.glob("configs/**/*.yaml")}


def test_it_brings_the_command_and_the_licence(installed: Path) -> None:
    (info,) = installed.glob("*.dist-info")
    assert "dagrec = dagrec_cli.cli:main" in (info / "entry_points.txt").read_text()
    assert (info / "licenses/LICENSE").is_file()


def test_it_trains_with_its_own_configs(installed: Path, tmp_path: Path) -> None:
    assert "Usage: dagrec COMMAND" in run(installed, tmp_path, "--help")
    assert run(installed, tmp_path, "guide", "start").startswith("# Start\n")
    assert "Wrote mine/mean.py" in run(installed, tmp_path, "new", "model", "mean")
    where = run(installed, tmp_path, "train", "--info", "searchpath")
    assert str(installed / "dagrec_cli/configs") in where.replace("\n", "")
    out = run(installed, tmp_path, "train", "trainer.epochs=1")
    (result,) = tmp_path.glob("outputs/train/*/result.json")
    assert '"git_commit": null' in result.read_text()
    assert f"Run folder: {result.parent.relative_to(tmp_path)}\n" in out


def test_it_leaves_the_benchmarks_to_the_source(installed: Path, tmp_path: Path) -> None:
    done = start(installed, tmp_path, "bench", "bench=evaluation")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("dagrec bench: the benchmarks come with the source")


def test_it_names_its_extras_as_a_package_has_them(installed: Path) -> None:
    code = "from dagrec_cli.errors import install; print(install('onnx'))"
    env = {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.stdout.endswith("pip install 'dagrec[onnx]'\n")
