"""dagrec: a bench for next-service recommendation on DAG compositions."""

__version__ = "0.1.0"
