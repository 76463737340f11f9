import hashlib
import sys
from pathlib import Path

import pooch
import pytest
import requests

from dagrec_cli.data.download import locate
from dagrec_cli.data.files import sha256_of
from dagrec_cli.errors import ConfigError, DataError

CONTENT = b"[]"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = "portal/file.json"
URL = "https://example.org/file.json"


class Web:
    """Stands for pooch's downloader; counts requests, serves bytes or is unreachable."""

    content: bytes | None = None
    requests = 0

    def __call__(self, url: str, output_file: object, *_: object) -> None:
        self.requests += 1
        if self.content is None:
            raise requests.exceptions.ConnectionError("name\nnot resolved")
        Path(str(output_file)).write_bytes(self.content)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Web:
    web = Web()
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", lambda _, *args: web(*args))
    monkeypatch.setenv("DAGREC_CACHE_DIR", str(tmp_path / "cache" / "dagrec"))
    monkeypatch.setenv("DAGREC_DATA_DIR", str(tmp_path / "data"))
    return web


def found() -> Path:
    return locate(file=FILE, url=URL, sha256=SHA256)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_the_data_folder_comes_first_and_needs_no_pooch(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "cache" / "dagrec" / FILE, CONTENT)
    path = put(tmp_path / "data" / FILE, CONTENT)
    monkeypatch.setitem(sys.modules, "pooch", None)  # importing it would fail
    assert found() == path


def test_another_file_in_the_data_folder_is_refused_with_both_hashes(
    web: Web, tmp_path: Path
) -> None:
    path = put(tmp_path / "data" / FILE, b"[1]")
    with pytest.raises(DataError) as caught:
        found()
    assert all(text in str(caught.value) for text in (str(path), SHA256, sha256_of(path)))


def test_the_cache_saves_the_download(web: Web, tmp_path: Path) -> None:
    path = put(tmp_path / "cache" / "dagrec" / FILE, CONTENT)
    assert found() == path
    assert web.requests == 0


@pytest.mark.parametrize("data_dir", [True, False])
def test_what_is_nowhere_is_downloaded_once(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: bool
) -> None:
    if not data_dir:
        monkeypatch.delenv("DAGREC_DATA_DIR")
    web.content = CONTENT
    assert found() == found() == tmp_path / "cache" / "dagrec" / FILE
    assert found().read_bytes() == CONTENT
    assert web.requests == 1


def test_an_altered_file_in_the_cache_is_fetched_anew(web: Web, tmp_path: Path) -> None:
    put(tmp_path / "cache" / "dagrec" / FILE, b"altered")
    web.content = CONTENT
    assert found().read_bytes() == CONTENT


def test_a_download_with_another_hash_is_refused_and_not_kept(web: Web, tmp_path: Path) -> None:
    web.content = b"other"
    with pytest.raises(DataError, match=SHA256):
        found()
    assert not (tmp_path / "cache" / "dagrec" / FILE).exists()


def test_without_a_network_the_message_says_where_the_file_may_be_put(web: Web) -> None:
    with pytest.raises(DataError) as caught:
        found()
    place = f"$DAGREC_DATA_DIR/{FILE}"
    assert str(caught.value) == (
        f"no connection to example.org; put the file into {place} to work without the download."
    )


@pytest.mark.parametrize("url", ["http://example.org/x", "file:///x", "ftp://example.org/x", ""])
def test_only_https_is_fetched(web: Web, url: str) -> None:
    with pytest.raises(ConfigError, match="https://"):
        locate(file=FILE, url=url, sha256=SHA256)
    assert web.requests == 0
