"""The benchmark :mod:`~dagrec_cli.benchmarks.evaluation` with a catalogue of 10,000 services."""

from dagrec_cli.benchmarks.evaluation import Evaluation


class EvaluationLarge(Evaluation):
    """Pairs of 1,000 contexts with 10 successors each; 10,000 services."""

    services = 10_000
