"""Public data files: found beside the user's data, in the cache, or fetched and checked.

A pinned sha256 makes the three places interchangeable; a file that differs is never read.
"""

import os
from contextlib import suppress
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from dagrec_cli.data.files import cache_dir, file_errors, sha256_of
from dagrec_cli.data.plain_files import share
from dagrec_cli.errors import ConfigError, DataError


def locate(*, file: str, url: str, sha256: str) -> Path:
    """Return the path of a public file, downloading it only if it is not there yet.

    Looks at ``$DAGREC_DATA_DIR/<file>``, then in pooch's cache folder, then at ``url``.

    Parameters
    ----------
    file
        Folder and name under either root, such as ``geoportal/compositionsDAG.json``.
    url
        Public address, https only.
    sha256
        Hash that the content must have, 64 hexadecimal digits.

    Raises
    ------
    ConfigError
        If ``url`` is not an https address.
    DataError
        If the file in ``$DAGREC_DATA_DIR`` or the downloaded one has another hash, or nothing
        can be downloaded.
    """
    if not url.startswith("https://"):
        raise ConfigError(f"data.download.url is {url!r}; use an address that starts with https://")
    if folder := os.environ.get("DAGREC_DATA_DIR"):
        path = Path(folder) / file
        if path.is_file():
            return _checked(path, sha256)
    return _download(PurePosixPath(file), url, sha256)


def _checked(path: Path, sha256: str) -> Path:
    with file_errors(path):
        found = sha256_of(path)
    if found != sha256:
        raise DataError(
            f"{path}: sha256 is {found}, but {sha256} is pinned; replace the file, or move it away "
            "to have it downloaded, or read it all the same with data.path=FILE."
        )
    return path


def _download(file: PurePosixPath, url: str, sha256: str) -> Path:
    """Return the file from the cache, where a missing or altered one is fetched first."""
    import pooch
    import requests

    folder = cache_dir() / file.parent
    instead = f"put the file into $DAGREC_DATA_DIR/{file} to work without the download."
    try:
        found = Path(pooch.retrieve(url, f"sha256:{sha256}", fname=file.name, path=folder))
        with suppress(PermissionError):  # another user's, who has shared it
            share(found)
        return found
    except requests.ConnectionError as error:  # its text repeats what each layer below had to say
        raise DataError(f"no connection to {urlsplit(url).hostname}; {instead}") from error
    except OSError as error:  # requests' other errors are among these
        reason = " ".join(str(error).split())
        raise DataError(f"cannot download {url} to {folder} ({reason}); {instead}") from error
    except ValueError as error:  # pooch has compared the hashes
        raise DataError(f"{url}: its sha256 is not the pinned {sha256}; {instead}") from error
