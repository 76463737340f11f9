"""dagrec: a bench for next-service recommendation on DAG compositions."""

__version__ = "0.2.0"
