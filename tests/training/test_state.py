import pytest

from dagrec_cli.training.state import History

FLAT, FALLING = [2.0] * 20, [2.0 - 0.05 * k for k in range(20)]
ROSE, FELL = "validation ndcg still rose", "the loss still fell"


@pytest.mark.parametrize(
    ("losses", "best_epoch", "epochs", "expected"),
    [
        (FLAT, 0, 20, ""),
        (FALLING, 0, 20, FELL),
        (FALLING, 0, 21, ""),  # something else ended it
        (FALLING[:9], 0, 9, ""),  # too few to say
        ([2.0, 1.0] * 10, 0, 20, ""),  # up and down
        (FALLING, 18, 20, ""),  # validation knows better
        (FALLING, 19, 20, ROSE),
        (FLAT, 20, 20, ROSE),
    ],
)
def test_a_training_that_was_still_getting_better_when_it_ended(
    losses: list[float], best_epoch: int, epochs: int, expected: str
) -> None:
    validated = {"validation_ndcg": 0.5} if best_epoch else {}
    rows = [{"epoch": k, "loss": loss, **validated} for k, loss in enumerate(losses, start=1)]
    history = History(rows, best_epoch or len(rows))
    assert history.still_better(epochs, "ndcg") == expected
