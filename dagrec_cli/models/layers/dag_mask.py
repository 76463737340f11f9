"""The DAG mask: services that never followed a context's last node cannot come next.

Source: PAPER §3 ("DAG mask"). Scores become minus infinity, so probabilities are zero there and sum
to one over the valid services.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from dagrec_cli.data.service_graph import ServiceGraph


class DagMask:
    """Which services the graph forbids after a node.

    A node without known successors forbids nothing.
    """

    def __init__(self, graph: ServiceGraph, n_services: int) -> None:
        self.graph = graph
        self.n_services = n_services

    def forbidden(self, last: Int[Tensor, " contexts"]) -> Bool[Tensor, "contexts services"]:
        """Return True where a service may not follow the given last node."""
        allowed = self.graph.allowed(last.cpu().numpy(), self.n_services)
        return torch.from_numpy(~allowed).to(last.device)

    def __call__(
        self, scores: Float[Tensor, "contexts services"], last: Int[Tensor, " contexts"]
    ) -> Float[Tensor, "contexts services"]:
        """Return scores with minus infinity where the service is forbidden."""
        return scores.masked_fill(self.forbidden(last), -torch.inf)
