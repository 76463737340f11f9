"""What a sampler is: negatives for each row, drawn from the catalogue."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Generator, Tensor

from dagrec_cli.models.layers.dag_mask import AllowedServices


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
    def sample(
        self,
        target: Int[Tensor, " rows"],
        generator: Generator,
        choices: AllowedServices | None = None,
    ) -> Int[Tensor, "rows samples"]:
        """Return negatives for each row, drawn with replacement.

        Parameters
        ----------
        choices
            What the DAG mask allows in each row; None where it allows everything.
        """

    @abstractmethod
    def log_expected(
        self,
        target: Int[Tensor, " rows"],
        negatives: Int[Tensor, "rows samples"],
        choices: AllowedServices | None = None,
    ) -> Float[Tensor, "rows samples"]:
        """Return the logarithm of how often each negative is expected among its row's samples."""
