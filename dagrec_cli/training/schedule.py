"""How the learning rate moves while training: a rise at the start, then constant or a decay to 0.

Source: Goyal et al., "Accurate, Large Minibatch SGD", 2017, §2.2 (gradual warm-up); Loshchilov and
Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, eq. 5, without restarts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi

DECAYS: dict[str, Callable[[float], float]] = {
    "constant": lambda past: 1.0,
    "linear": lambda past: 1.0 - past,
    "cosine": lambda past: (1.0 + cos(pi * past)) / 2,
}


@dataclass(frozen=True)
class Schedule:
    """What the learning rate is multiplied with, by how much of the training is over.

    The rise is a share of the training, as the decay is, and no number of steps: both keep their
    shape with other epochs or batches, and all that a resumed training needs to know is its epoch.

    Parameters
    ----------
    decay
        ``constant``, ``linear`` or ``cosine``.
    warmup
        Share of the training in which the rate rises, ``[0, 1)``.
    """

    decay: str
    warmup: float

    def factor(self, start: float, end: float) -> float:
        """Return the factor of a step, given how much is over before and after it, ``[0, 1]``.

        The rise asks for the end of a step and the decay for its start, or the first step of the
        one and the last of the other would train nothing.

        >>> [round(Schedule("linear", 0.5).factor(k / 4, (k + 1) / 4), 3) for k in range(4)]
        [0.5, 1.0, 1.0, 0.5]
        """
        if end < self.warmup:
            return end / self.warmup
        return DECAYS[self.decay](max(0.0, (start - self.warmup) / (1 - self.warmup)))
