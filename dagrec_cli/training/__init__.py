"""Trainers, one optimisation step, history and progress."""
