"""Negatives drawn uniformly from the catalogue.

Source: PAPER §4, alpha = 0.
"""

from dagrec_cli.config.kinds import Count
from dagrec_cli.samplers.popularity import PopularitySampler


class UniformSampler(PopularitySampler):
    """Draw every service with the same probability.

    Parameters
    ----------
    n_sample
        Negatives per row, 1 and up, with replacement.
    exclude_target
        False lets a target be its own negative.
    """

    def __init__(self, *, n_sample: Count, exclude_target: bool) -> None:
        super().__init__(n_sample=n_sample, sample_alpha=0.0, exclude_target=exclude_target)
