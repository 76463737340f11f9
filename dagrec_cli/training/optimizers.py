"""What makes a step of a gradient: Adam, AdamW, Adagrad, SGD with momentum.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1;
Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2; Duchi et
al., "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 2011,
eq. 1 with diagonal matrices; Sutskever et al., "On the importance of initialization and momentum in
deep learning", ICML 2013, eq. 1-2.
Differs from the source: SGD's momentum sums gradients and multiplies them with the step size as it
is now, as torch has it.

Steps are those of torch's optimiser classes of the same names, by torch's own functions. The
classes import torch's compiler when they are built, which takes longer than training on small data.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from dagrec_cli.errors import ConfigError

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam's paper
ADAGRAD_EPSILON = 1e-10  # torch's


class Optimizer(ABC):
    """Weights, and what a step remembers of each of them.

    Parameters
    ----------
    parameters
        What to train; those without a gradient stay as they are.
    learning_rate
        Step size, 0 and up.
    weight_decay
        Pull of all weights towards 0, 0 and up.
    momentum
        Share of earlier gradients that :class:`SGD` keeps in a step, ``[0, 1)``.

    Attributes
    ----------
    parameters
        What is trained.
    learning_rate
        Of the next step; a schedule may change it.
    """

    remembered: ClassVar[tuple[str, ...]]  # torch's names; "step" is a number, others like weights

    def __init__(
        self,
        parameters: Iterable[Parameter],
        learning_rate: float,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.momentum = momentum
        self._moments = [
            {name: _zero(each, name) for name in self.remembered} for each in self.parameters
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
        self._change(
            [each for each, _, _ in used],
            [gradient for _, gradient, _ in used],
            *([moments[name] for _, _, moments in used] for name in self.remembered),
        )

    @abstractmethod
    def _change(
        self, weights: list[Tensor], gradients: list[Tensor], *moments: list[Tensor]
    ) -> None:
        """Change weights that have a gradient, and what is remembered of them, in place."""


class Adam(Optimizer):
    """Steps as long as a gradient's running mean is large against its running size."""

    remembered = ("step", "exp_avg", "exp_avg_sq")
    decoupled: ClassVar[bool] = False

    def _change(
        self, weights: list[Tensor], gradients: list[Tensor], *moments: list[Tensor]
    ) -> None:
        step, mean, size = moments
        adam(
            weights,
            gradients,
            mean,
            size,
            [],
            step,
            fused=True,
            decoupled_weight_decay=self.decoupled,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            eps=EPSILON,
            maximize=False,
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights themselves, and is no part of the gradient."""

    decoupled = True


class Adagrad(Optimizer):
    """Steps as long as a gradient is large against all gradients so far."""

    remembered = ("step", "sum")

    def _change(
        self, weights: list[Tensor], gradients: list[Tensor], *moments: list[Tensor]
    ) -> None:
        step, total = moments
        adagrad(
            weights,
            gradients,
            total,
            step,
            foreach=False,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            lr_decay=0.0,
            eps=ADAGRAD_EPSILON,
            maximize=False,
        )


class SGD(Optimizer):
    """Steps along the gradient or, with momentum, along a fading sum of all gradients so far."""

    remembered = ("momentum_buffer",)

    def _change(
        self, weights: list[Tensor], gradients: list[Tensor], *moments: list[Tensor]
    ) -> None:
        (sums,) = moments
        sgd(
            weights,
            gradients,
            list(sums),
            foreach=False,
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "adagrad": Adagrad,
    "sgd": SGD,
}


def optimizer_named(
    name: str, learning_rate: float, weight_decay: float, momentum: float
) -> Callable[[Iterable[Parameter]], Optimizer]:
    """Return the function of parameters that makes a trainer's optimiser.

    Raises
    ------
    ConfigError
        If there is a momentum that would do nothing.
    """
    if momentum and name != "sgd":
        raise ConfigError(
            f"trainer.momentum is {momentum} but {name} has no momentum to set; use "
            "trainer.optimizer=sgd, or trainer.momentum=0."
        )
    return partial(
        OPTIMIZERS[name],
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        momentum=momentum,
    )


def _zero(weight: Parameter, name: str) -> Tensor:
    if name == "step":
        return torch.zeros((), dtype=torch.float32, device=weight.device)
    return torch.zeros_like(weight, requires_grad=False)
