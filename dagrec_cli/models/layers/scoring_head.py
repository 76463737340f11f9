"""Linear scores of services, of all of them or of given candidates only."""

from jaxtyping import Float, Int
from torch import Tensor, nn


class ScoringHead(nn.Linear):
    """One weight vector and one bias per service; ``head(states)`` scores the whole catalogue."""

    def candidates(
        self, states: Float[Tensor, "rows hidden"], classes: Int[Tensor, "rows candidates"]
    ) -> Float[Tensor, "rows candidates"]:
        """Return the scores of each row's candidates, the same numbers as ``head(states)`` has.

        Where a row has more candidates than the catalogue has services, scoring the catalogue once
        and picking is the lesser work; otherwise only the candidates' weights are touched.
        """
        if classes.shape[1] >= self.out_features:
            scores: Tensor = self(states)
            return scores.gather(1, classes)
        return (self.weight[classes] @ states.unsqueeze(2)).squeeze(2) + self.bias[classes]
