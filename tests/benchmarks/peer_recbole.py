"""What RecBole's GRU4Rec recommends for each test step of an export, as ``dagrec score`` reads it.

RecBole is the best known toolkit that has one, and takes a split as it is given. It asks for older
versions of numpy and pandas, so it lives in an environment of its own::

    python3.11 -m venv peer
    peer/bin/pip install torch==2.13.0 recbole==1.2.1 "numpy<2" "pandas<3"

    dagrec data export data=geoportal format=recbole output=dataset/portal
    peer/bin/python tests/benchmarks/peer_recbole.py dataset/portal recbole.csv --seed=0
    dagrec score recbole.csv data=geoportal seed=0

``--key=value`` is a setting of RecBole, such as ``--epochs=50``; the others are its defaults and
those of its example for sessions. That example chooses the epoch on the test. Here it is chosen as
with its ``--validation``, on a random tenth of the training steps, and then another model is
trained on all of them for as many epochs.

RecBole's items are the nodes of both sides. Those that no training step leads to are not
recommended: nothing has trained their vectors.
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import numpy as np
import torch
from numpy.typing import NDArray

Line = tuple[str, int, str, float]

COLUMNS = ("step", "rank", "service", "score")
EXAMPLE = {  # settings of RecBole's run_example/session_based_rec_example.py
    "model": "GRU4Rec",
    "train_neg_sample_args": None,  # cross-entropy over all items
    "topk": [20],
    "metrics": ["Recall", "MRR"],
    "valid_metric": "MRR@20",
}
VALIDATION_SHARE = 0.1


def main() -> None:
    """Write the file that the command line names."""
    source, written = (Path(word).resolve() for word in sys.argv[1:3])
    with TemporaryDirectory() as scratch, chdir(scratch):  # RecBole makes folders where it runs
        lines = list(recommended(source))
    write(written, lines)


def write(path: Path, lines: Iterable[Line]) -> None:
    """Write lines as ``dagrec score`` reads them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        rows.writerows(lines)


def ranked(step: str, services: Sequence[str], scores: NDArray[np.float32]) -> list[Line]:
    """Return a step's lines, the best first; of a name, what the export escaped is undone."""
    order = np.argsort(-scores, kind="stable").tolist()
    return [(step, rank, unquote(services[k]), float(scores[k])) for rank, k in enumerate(order, 1)]


def recommended(source: Path) -> Iterator[Line]:
    """Train on the training steps of an export, and yield the lines of its test steps."""
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.data.utils import get_dataloader

    place = {"dataset": source.name, "data_path": str(source.parent)}
    files = [str(source / f"{source.name}.yaml")]
    config = Config(config_file_list=files, config_dict={**EXAMPLE, **place})
    dataset = create_dataset(config)
    train, test = dataset.build()
    items = sorted({*train.inter_feat[dataset.iid_field].tolist()})
    services = dataset.id2token(dataset.iid_field, items).tolist()
    model = _fitted(config, train)
    for batch, *_ in get_dataloader(config, "test")(config, test, None, shuffle=False):
        with torch.no_grad():
            scores = model.full_sort_predict(batch.to(config["device"])).cpu().numpy()
        steps = dataset.id2token(dataset.uid_field, batch[dataset.uid_field]).tolist()
        for step, row in zip(steps, scores.reshape(len(steps), -1)[:, items], strict=True):
            yield from ranked(step, services, row)


def _fitted(config: Any, train: Any) -> Any:
    """Return a model of all training steps, with the epochs that are best for some held out."""
    from recbole.data.utils import get_dataloader
    from recbole.utils import init_seed

    init_seed(config["seed"], config["reproducibility"])
    train.shuffle()
    fitted, held_out = train.split_by_ratio([1 - VALIDATION_SHARE, VALIDATION_SHARE])
    validation = get_dataloader(config, "test")(config, held_out, None, shuffle=False)
    best, n_best = float("-inf"), 0

    def note(epoch: int, figure: float) -> None:
        nonlocal best, n_best
        if figure >= best:  # as RecBole says which is best
            best, n_best = figure, epoch + 1

    _train(config, fitted, config["epochs"], validation, note)
    model = _train(config, train, n_best)
    sys.stderr.write(f"{n_best} epochs; {config['valid_metric']} {best:.4f} on steps held out\n")
    return model


def _train(config: Any, rows: Any, n_epochs: int, *validation: Any) -> Any:
    """Return a model trained on rows."""
    from recbole.data.utils import get_dataloader
    from recbole.utils import get_model, get_trainer, init_seed

    init_seed(config["seed"], config["reproducibility"])
    loader = get_dataloader(config, "train")(config, rows, None, shuffle=True)
    model = get_model(config["model"])(config, rows).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    trainer.epochs = n_epochs
    data, callback = validation or (None, None)
    trainer.fit(loader, data, verbose=False, saved=False, callback_fn=callback)
    trainer.tensorboard.close()  # else it writes on in its own thread, when the folder is gone
    return model.eval()


if __name__ == "__main__":
    main()
