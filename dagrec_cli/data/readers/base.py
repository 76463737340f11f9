"""What every reader of files has, whatever their format."""

from dagrec_cli.config.kinds import Count
from dagrec_cli.data.invalid import OnInvalid


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
    """

    def __init__(self, *, on_invalid: OnInvalid, max_paths: Count, cache: bool) -> None:
        self.on_invalid = on_invalid
        self.max_paths = max_paths
        self.cache = cache
