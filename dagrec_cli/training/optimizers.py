"""What makes a step of a gradient, and how long steps are as training goes on.

Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1;
Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, algorithm 2; Duchi et
al., "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization", JMLR 2011,
eq. 1 with diagonal matrices; Sutskever et al., "On the importance of initialization and momentum in
deep learning", ICML 2013, eq. 1-2. Of the schedules: Goyal et al., "Accurate, Large Minibatch SGD",
2017, §2.2 (gradual warm-up); Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm
Restarts", ICLR 2017, eq. 5, without restarts.
Differs from the source: SGD's momentum sums gradients and multiplies them with the step size as it
is now, as torch has it.

Steps are those of torch's optimiser classes of the same names, by torch's own functions. The
classes import torch's compiler when they are built, which takes longer than training on small data.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import cos, pi
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.sgd import sgd


class Rule(NamedTuple):
    """How a step changes weights.

    Attributes
    ----------
    change
        Torch's function of weights, their gradients, what is remembered of them, and settings;
        changes weights and memory in place.
    moments
        What is remembered of a weight, by the argument of ``change`` that takes it. Names are
        torch's: ``step`` is a number, all others have the weight's shape.
    has_momentum
        Whether ``change`` takes a momentum.
    """

    change: Callable[..., None]
    moments: Mapping[str, str]
    has_momentum: bool = False


_ADAM = partial(
    adam,
    max_exp_avg_sqs=[],
    fused=True,
    amsgrad=False,
    beta1=0.9,  # this and the next two of Adam's paper
    beta2=0.999,
    eps=1e-8,
    maximize=False,
)
_ADAM_MOMENTS = {"state_steps": "step", "exp_avgs": "exp_avg", "exp_avg_sqs": "exp_avg_sq"}

OPTIMIZERS: dict[str, Rule] = {
    # As long as a gradient's running mean is large against its running size.
    "adam": Rule(_ADAM, _ADAM_MOMENTS),
    # The same, but weight decay shrinks the weights themselves, and is no part of the gradient.
    "adamw": Rule(partial(_ADAM, decoupled_weight_decay=True), _ADAM_MOMENTS),
    # As long as a gradient is large against all gradients so far.
    "adagrad": Rule(
        partial(adagrad, foreach=False, lr_decay=0.0, eps=1e-10, maximize=False),
        {"state_steps": "step", "state_sums": "sum"},
    ),
    # Along the gradient or, with momentum, along a fading sum of all gradients so far.
    "sgd": Rule(
        partial(sgd, foreach=False, dampening=0.0, nesterov=False, maximize=False),
        {"momentum_buffer_list": "momentum_buffer"},
        has_momentum=True,
    ),
}


class Optimizer:
    """Weights, and what a step remembers of each of them.

    Parameters
    ----------
    rule
        One of :data:`OPTIMIZERS`.
    parameters
        What to train; those without a gradient stay as they are.
    learning_rate
        Step size, 0 and up.
    weight_decay
        Pull of all weights towards 0, 0 and up.
    momentum
        Share of earlier gradients that a rule with momentum keeps in a step, ``[0, 1)``.

    Attributes
    ----------
    parameters
        What is trained.
    learning_rate
        Of the next step; a schedule may change it.
    """

    def __init__(
        self,
        rule: Rule,
        parameters: Iterable[Parameter],
        learning_rate: float,
        *,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self._rule = rule
        self._settings = {"weight_decay": weight_decay}
        if rule.has_momentum:
            self._settings["momentum"] = momentum
        self._moments = [
            {name: _zero(weight, name) for name in rule.moments.values()}
            for weight in self.parameters
        ]

    @property
    def moments(self) -> dict[str, Tensor]:
        """What a step changes beside the weights, live; names are torch's, as ``0.exp_avg``."""
        return {
            f"{number}.{name}": moment
            for number, moments in enumerate(self._moments)
            for name, moment in moments.items()
        }

    def load(self, moments: Mapping[str, Tensor]) -> None:
        """Take these moments.

        Raises
        ------
        KeyError, ValueError
            If one is missing or of another shape.
        """
        for name, moment in self.moments.items():
            if moments[name].shape != moment.shape:
                raise ValueError(f"optimizer.{name} has shape {tuple(moments[name].shape)}")
            moment.copy_(moments[name])

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for weight in self.parameters:
            weight.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights once."""
        used = [k for k, weight in enumerate(self.parameters) if weight.grad is not None]
        self._rule.change(
            [self.parameters[k] for k in used],
            [self.parameters[k].grad for k in used],
            lr=self.learning_rate,
            **{
                argument: [self._moments[k][name] for k in used]
                for argument, name in self._rule.moments.items()
            },
            **self._settings,
        )


def _zero(weight: Parameter, name: str) -> Tensor:
    if name == "step":
        return torch.zeros((), dtype=torch.float32, device=weight.device)
    return torch.zeros_like(weight, requires_grad=False)


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
        ``constant``, ``linear`` or ``cosine``, down to 0.
    warmup
        Share of the training in which the rate rises from 0, ``[0, 1)``.
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


def adagrad_with_momentum(
    weights: list[Tensor],
    gradients: list[Tensor],
    *,
    sums: list[Tensor],
    velocities: list[Tensor],
    lr: float,
    momentum: float,
    weight_decay: float,
) -> None:
    """Change weights by ``v = momentum v - lr g / sqrt(sum g^2 + eps)``.

    Of a sparse gradient the rows that it has are changed; others keep sum and ``v``. There is no
    ``weight_decay``.
    """
    eps = 1e-6
    for weight, gradient, squares, v in zip(weights, gradients, sums, velocities, strict=True):
        rows: Tensor | slice = slice(None)
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            rows, gradient = gradient.indices()[0], gradient.values()
        total = squares[rows] + gradient.square()
        step = momentum * v[rows] - lr * gradient / (total + eps).sqrt()
        squares[rows], v[rows] = total, step
        weight[rows] += step


# Of the authors of GRU4Rec, for trainer=session_parallel; torch's adagrad has no momentum.
ADAGRAD_WITH_MOMENTUM = Rule(
    adagrad_with_momentum, {"sums": "sum", "velocities": "velocity"}, has_momentum=True
)
