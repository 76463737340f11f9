"""What a sampler is: negatives for each row, drawn from the catalogue."""

from abc import ABC, abstractmethod
from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Generator, Tensor

from dagrec_cli.models.layers.dag_mask import AllowedServices

Target: TypeAlias = Int[Tensor, " rows"]
Negatives: TypeAlias = Int[Tensor, "rows samples"]
Expected: TypeAlias = Float[Tensor, "rows samples"]  # logarithms
Choices: TypeAlias = AllowedServices | None  # in each row; None where everything is allowed


class Sampler(ABC):
    """Draws negatives.

    Attributes
    ----------
    n_sample
        Negatives per row; 0 where none are drawn.
    needs_mask
        True if :meth:`sample` has to know what the DAG mask allows.
    """

    n_sample: int
    needs_mask = False

    @abstractmethod
    def prepare(self, counts: Float[Tensor, " services"]) -> None:
        """Learn how often each service is a training target; call once before sampling.

        Raises
        ------
        ConfigError
            If some target would have no negative left.
        """

    @abstractmethod
    def sample(self, target: Target, generator: Generator, choices: Choices = None) -> Negatives:
        """Return negatives for each row, drawn with replacement.

        Parameters
        ----------
        choices
            What the DAG mask allows in each row; None where it allows everything.
        """

    @abstractmethod
    def log_expected(
        self, target: Target, negatives: Negatives, choices: Choices = None
    ) -> Expected:
        """Return the logarithm of how often each negative is expected among its row's samples."""
