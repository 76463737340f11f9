"""Ranks, metrics from ranks, their intervals, and the scoring behind them."""
