"""A trained model as ONNX: scores and order of all services after contexts, the DAG mask inside.

Inputs are ``nodes`` ``[contexts, longest]`` (int64 node indices in topological order, the last node
last, right-padded with 0) and ``length`` ``[contexts]`` (int64, nodes in each context). Outputs are
``scores`` ``[contexts, services]``, minus infinity where the mask forbids, so that their softmax
are the probabilities of ``dagrec predict``; and ``ranking`` ``[contexts, services]``, int64 classes
in the order of ``dagrec predict``, best first, with what the mask forbids at the end, by its own
scores.
There may be no contexts, but ``longest`` is 1 or more.
The file's metadata hold the names as JSON: ``nodes`` (index 1 is the first) and ``services``.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from dagrec_cli.data.contexts import Numbering
from dagrec_cli.errors import DagrecError, install
from dagrec_cli.models.base import Model, TorchModel
from dagrec_cli.models.context_batch import Contexts
from dagrec_cli.models.layers.node_graph import Distances
from dagrec_cli.models.layers.node_names import NodeNames

ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
TOLERANCE = 1e-5  # between the two programs' scores, relative to scores above 1


class OnnxError(DagrecError):
    """A model cannot be written as ONNX here."""


def onnx_bytes(model: Model, *, merges: bool) -> tuple[bytes, float]:
    """Return a model's ONNX file, and how far onnxruntime's scores are from ours at most.

    Parameters
    ----------
    merges
        Whether contexts of the model's data merge, so that a row does not say what links to what.

    Raises
    ------
    OnnxError
        If a package is missing, the model cannot be exported, or scores differ.
    """
    _check_packages()
    if not isinstance(model, TorchModel):
        raise OnnxError(
            f"{type(model).__name__} counts and has no network to export; train one, such as "
            "model=gru4rec."
        )
    if model.prior is not None:
        raise OnnxError(
            "ONNX has no form for the counts of model.mask=prior yet; train with model.mask=hard."
        )
    if model.owners is not None or model.preferences is not None:
        raise OnnxError("ONNX takes no owner yet; train with model.owner=none.")
    if any(isinstance(part, Distances) for part in model.modules()):
        raise OnnxError(
            "ONNX has no form for distances in the graph of all services; train with "
            "model.distances=0."
        )
    if any(isinstance(part, NodeNames) for part in model.modules()):
        raise OnnxError(
            "ONNX takes indices of nodes, which say no unknown name; train with model.names=false."
        )
    if merges and not _reads_rows_alone(model):
        raise OnnxError(
            f"{type(model).__name__} reads merging contexts along their links, but ONNX takes rows "
            "of nodes, which have none; train with data.context=path, or a model that reads rows: "
            "sasrec, gru4rec with model.encoding=padded."
        )
    scorer = _Scorer(model).eval()
    nodes, length = _examples(model.facts.n_nodes)
    free = torch.export.Dim.DYNAMIC
    # The exporter puts a GRU of its own in place, which torch overlooks once it has used another.
    torch.ops.aten.gru.input._dispatch_cache.clear()
    with _quiet():
        program = torch.onnx.export(
            scorer,
            (nodes, length),
            dynamo=True,
            input_names=["nodes", "length"],
            output_names=["scores", "ranking"],
            dynamic_shapes={"nodes": {0: free, 1: free}, "length": {0: free}},
            verbose=False,
        )
    assert program is not None  # with dynamo=True there is one
    names = model.facts.vocabulary
    for key, value in (("nodes", names.nodes), ("services", names.services)):
        program.model.metadata_props[key] = json.dumps(value, ensure_ascii=False)
    content = program.model_proto.SerializeToString()
    return content, _difference(content, scorer, nodes, length)


@torch.no_grad()
def _reads_rows_alone(model: Model) -> bool:
    """Return whether a model scores contexts that merge as it scores their rows."""
    number, n = Numbering(), model.facts.n_nodes
    entries = [number(1 + k, [number(1 + (k + 1) % n), number(1 + (k + 2) % n)]) for k in range(n)]
    contexts = Contexts(number.dag(), np.array(entries, np.int32))
    scores, of_rows = model(contexts), model(Contexts.of_rows(*contexts.rows))
    return torch.allclose(scores, of_rows, rtol=TOLERANCE, atol=TOLERANCE)


class _Scorer(nn.Module):
    """A model and its mask as one network over plain tensors: masked scores, and the ranking."""

    forbidden: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        forbidden = torch.zeros(model.facts.n_nodes + 1, model.facts.n_services, dtype=torch.bool)
        if model.hard_mask:
            every = torch.arange(1, len(forbidden))
            forbidden[1:] = model.hard_mask(forbidden[1:].float(), every).isinf()
        self.register_buffer("forbidden", forbidden)

    def forward(self, nodes: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        # One context more, taken away at the end: onnxruntime aborts where a GRU gets none.
        contexts = Contexts.of_rows(pad(nodes, (0, 0, 0, 1)), pad(length, (0, 1), value=1))
        scores: Tensor = self.model(contexts)
        forbidden = self.forbidden[contexts.last]
        masked, n = scores.masked_fill(forbidden, -torch.inf), scores.shape[1]
        # ONNX sorts by top-k alone; it puts the lower of two equal classes first.
        by_score = scores.topk(n, dim=1).indices
        is_allowed = ~forbidden.gather(1, by_score)
        allowed_first = (n * is_allowed.long() - torch.arange(n)).topk(n, dim=1).indices
        return masked[:-1], by_score.gather(1, allowed_first)[:-1]


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide what the exporter has to say about its own insides."""
    hidden = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(hidden)


def _check_packages() -> None:
    from importlib.util import find_spec

    if missing := [name for name in ONNX_PACKAGES if find_spec(name) is None]:
        raise OnnxError(f"ONNX needs {', '.join(missing)}; run: {install('onnx')}")


def _examples(
    n_nodes: int,
) -> tuple[Int[Tensor, "contexts longest"], Int[Tensor, " contexts"]]:
    """Return contexts of one to three nodes in which every node is the last one somewhere."""
    length = torch.tensor([1 + node % 3 for node in range(n_nodes)])
    nodes = torch.zeros(n_nodes, 3, dtype=torch.long)
    for row, back in product(range(n_nodes), range(3)):
        if back < length[row]:
            nodes[row, length[row] - 1 - back] = (row + back * 7) % n_nodes + 1
    return nodes, length


@torch.no_grad()
def _difference(model: bytes, scorer: _Scorer, nodes: Tensor, length: Tensor) -> float:
    """Return the largest difference of scores, after checking that it is small enough."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    scores: Float[np.ndarray, "contexts services"]
    scores, ranking = session.run(None, {"nodes": nodes.numpy(), "length": length.numpy()})
    expected, expected_ranking = (output.numpy() for output in scorer(nodes, length))
    if not np.allclose(scores, expected, rtol=TOLERANCE, atol=TOLERANCE):
        raise OnnxError("onnxruntime does not give the model's scores; no file is written.")
    unmasked = scorer.model(Contexts.of_rows(nodes, length)).numpy()
    # Scores that differ by rounding alone may change places, so the scores at each place count.
    theirs, ours = (np.take_along_axis(unmasked, order, 1) for order in (ranking, expected_ranking))
    if not np.allclose(theirs, ours, rtol=TOLERANCE, atol=TOLERANCE):
        raise OnnxError("onnxruntime does not rank as the model does; no file is written.")
    is_finite = np.isfinite(expected)
    return float(np.abs(scores[is_finite] - expected[is_finite]).max(initial=0))
