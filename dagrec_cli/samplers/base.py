"""What a sampler is: negatives for each row, drawn from the catalogue."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Generator, Tensor


class Sampler(ABC):
    """Draws negatives. ``n_sample`` is 0 where none are drawn."""

    n_sample: int

    @abstractmethod
    def prepare(self, counts: Float[Tensor, " services"]) -> None:
        """Learn how often each service is a training target; call once before sampling.

        Raises
        ------
        ConfigError
            If some target would have no negative left.
        """

    @abstractmethod
    def sample(
        self, target: Int[Tensor, " rows"], generator: Generator
    ) -> Int[Tensor, "rows samples"]:
        """Return negatives for each row, drawn with replacement."""
