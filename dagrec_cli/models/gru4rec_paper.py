"""GRU4Rec as published: kept to reproduce the paper's rows, not to recommend with.

Source: PAPER §3 ("Read-out") and §9.

Why it is wrong: rows are padded on the left to ``max_len``, but the state is read at step
``length - 1``, as if they were padded on the right. For every context shorter than ``max_len``
that is a padding step, so nothing of the context reaches the score except its length (and, through
the DAG mask, its last node). Contexts of one length get one score row; on the paper's data every
seed therefore gives the same metrics. ``gru4rec`` reads the state of the last node instead.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dagrec_cli.config.kinds import Count
from dagrec_cli.errors import ConfigError
from dagrec_cli.models.base import Facts
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.gru4rec import GRU4Rec


class GRU4RecPaper(GRU4Rec):
    """Read the state at step ``length - 1`` of left-padded rows.

    Parameters
    ----------
    max_len
        Width of the padded rows.
    encoding
        ``padded``, since what is read are steps of padding.
    settings
        The other settings of :class:`~dagrec_cli.models.gru4rec.GRU4Rec`.

    Raises
    ------
    ConfigError
        If a context of the data is longer than ``max_len``: the paper cuts it and then reads
        beyond the row.
    """

    def __init__(
        self, facts: Facts, *, max_len: Count, encoding: Literal["padded"], **settings: Any
    ) -> None:
        if facts.longest_context > max_len:
            raise ConfigError(
                f"model.max_len is {max_len} but the longest context has {facts.longest_context} "
                f"nodes; use model.max_len={facts.longest_context} or more, or model=gru4rec."
            )
        super().__init__(facts, encoding=encoding, **settings)
        self.max_len = max_len

    def encode(self, contexts: Contexts) -> Float[Tensor, "contexts hidden"]:
        """Return the state at the published, wrong, step; long contexts lose their first nodes."""
        step = contexts.rows.length.clamp(max=self.max_len) - 1
        rows = contexts.rows.left_padded(self.max_len)
        if not torch.compiler.is_exporting():  # an exported model cannot choose by value
            rows = rows[:, : int(step.max()) + 1]  # nothing is read of later steps
        return self.read(rows, step)
