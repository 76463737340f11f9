"""What every reader of files has, whatever their format."""

from dagrec_cli.data.invalid import check_settings


class Reader:
    """The settings of a reader.

    Parameters
    ----------
    on_invalid
        ``error``: the first invalid composition stops the reading; ``skip``: it is left out.
    max_paths
        Most source-to-sink paths one composition may have, 1 or more.
    cache
        Whether a large data set is kept once it is prepared.

    Raises
    ------
    ConfigError
        If one has a value that is not allowed.
    """

    def __init__(self, *, on_invalid: str, max_paths: int, cache: bool) -> None:
        check_settings(on_invalid=on_invalid, max_paths=max_paths, cache=cache)
        self.on_invalid = on_invalid
        self.max_paths = max_paths
        self.cache = cache
