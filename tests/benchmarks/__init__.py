"""Benchmarks: each piece of work done the plain way and the project's, in one process.

They come with the source alone; ``dagrec bench`` runs them from there (:mod:`benchmarks.command`).
"""
