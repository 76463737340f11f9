"""Ranks, metrics from ranks, their intervals, and the scoring that evaluation and prediction share."""
