"""Adam: steps as long as a gradient's running mean is large against its running size.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adam import adam

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # the paper's


class Adam:
    """The step of :class:`torch.optim.Adam`, by torch's own fused kernel, bit for bit.

    Torch's class imports its compiler when it is built, which takes longer than training on small
    data; its function does not.

    Parameters
    ----------
    parameters
        What to train; those without a gradient stay as they are.
    learning_rate
        Step size, 0 and up.

    Attributes
    ----------
    parameters
        What is trained.
    """

    def __init__(self, parameters: Iterable[Parameter], learning_rate: float) -> None:
        self._learning_rate = learning_rate
        self.parameters = list(parameters)
        self._moments = [
            {
                "step": torch.zeros((), dtype=torch.float32, device=each.device),
                "exp_avg": torch.zeros_like(each, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(each, requires_grad=False),
            }
            for each in self.parameters
        ]

    @property
    def moments(self) -> dict[str, Tensor]:
        """What a step changes beside the weights, live; names are torch's, as ``0.exp_avg``."""
        return {
            f"{number}.{name}": each
            for number, moments in enumerate(self._moments)
            for name, each in moments.items()
        }

    def load(self, moments: Mapping[str, Tensor]) -> None:
        """Take these moments.

        Raises
        ------
        KeyError, ValueError
            If one is missing or of another shape.
        """
        for name, each in self.moments.items():
            if moments[name].shape != each.shape:
                raise ValueError(f"optimizer.{name} has shape {tuple(moments[name].shape)}")
            each.copy_(moments[name])

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for each in self.parameters:
            each.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights once."""
        used = [
            (each, each.grad, moments)
            for each, moments in zip(self.parameters, self._moments, strict=True)
            if each.grad is not None
        ]
        adam(
            [each for each, _, _ in used],
            [gradient for _, gradient, _ in used],
            [moments["exp_avg"] for _, _, moments in used],
            [moments["exp_avg_sq"] for _, _, moments in used],
            [],
            [moments["step"] for _, _, moments in used],
            fused=True,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=self._learning_rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )
