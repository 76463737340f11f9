"""The errors a user can cause, each one line: what was found, where, what is allowed, what to do.

Anything else that is raised is a defect of the program and shows its traceback.
"""

import sys
from collections.abc import Collection
from pathlib import Path

SAID_BY_OTHERS = {  # instead of our names of settings, options and commands
    "batch_size": "batch bs minibatch_size",
    "ce": "cross_entropy crossentropy softmax xent xe",
    "composition": "group grouped random workflow",
    "compositions": "json jsonl",
    "dag_gnn": "gnn gcn",
    "data": "dataset",
    "data describe": "info stats summary describe",
    "data.path": "dataset_path data_path",
    "device": "gpu cuda accelerator",
    "dropout_hidden": "dropout drop dropout_rate",
    "edges": "csv tsv links",
    "embedding_dim": "dim d_model emb_dim embed_dim embedding_size",
    "epochs": "max_epochs n_epochs num_epochs iterations steps",
    "evaluate": "test eval score",
    "folds": "cv k_fold kfold k_folds n_folds n_splits",
    "galaxy_workflows": "ga galaxy",
    "gradient_clip": "clip clip_norm grad_clip max_norm",
    "gru4rec": "gru lstm rnn",
    "heads": "n_heads num_heads",
    "hidden": "hidden_dim hidden_size units",
    "hydra.run.dir": "dir folder log_dir logdir name outdir output output_dir run_dir save_dir",
    "hydra.verbose": "debug v verbose",
    "learning_rate": "alpha eta lr step_size",
    "loss": "criterion objective",
    "markov": "bigram markov_chain ngram",
    "max_len": "context_length max_length maxlen window",
    "metrics": "metric",
    "model": "algorithm net network",
    "n8n_workflows": "n8n",
    "n_jobs": "jobs n_workers num_workers parallel workers",
    "n_sample": "n_neg n_negatives negative_samples negatives num_negatives",
    "num_layers": "depth layers n_layers",
    "on_invalid": "errors invalid on_error",
    "optimizer": "adagrad adam adamw opt optim sgd",
    "output": "o out outfile output_file",
    "path": "file filename files input",
    "patience": "early_stop early_stopping",
    "pool": "multiprocessing processes",
    "popularity": "baseline most_popular pop",
    "port": "p",
    "predict": "infer inference recommend",
    "run": "checkpoint model_path run_dir",
    "sasrec": "bert4rec self_attention transformer",
    "seed": "random_seed random_state",
    "srgnn": "ggnn session_graph",
    "submitit_slurm": "slurm",
    "temporal": "chronological time",
    "test_share": "holdout ratio test_fraction test_ratio test_size test_split",
    "threads": "cores cpus num_threads num_workers workers",
    "top_k": "k n top_n topk topn",
    "train": "fit run",
    "validation_share": "val_ratio val_size val_split validation_ratio validation_split",
    "vsknn": "knn sknn",
    "weight_decay": "l2 reg regularization wd",
}
SEEN = "\u00a0\u3000\u200c\u200d"  # spaces and joiners that names in some scripts have


class DagrecError(Exception):
    """A mistake that the user can fix; printed as one line, exit code 2."""


class ConfigError(DagrecError):
    """A setting has a value that is not allowed, or two settings do not go together."""


class DataError(DagrecError):
    """The data cannot be read, or breaks a rule of compositions."""


class RunError(DagrecError):
    """A run folder cannot be written, read, or does not fit what is asked of it."""


class InUseError(RunError):
    """Another process works in the run folder; nothing in it may be touched."""


class ForeignError(InUseError):
    """The folder holds what a command did not make; nothing in it may be touched."""


class TrainingError(Exception):
    """Training came to a loss or a score that is no number; exit code 1, good weights are kept."""


def did_you_mean(word: str, known: Collection[str], prefix: str = "") -> str:
    """Return a question with the known name that is :func:`nearest` to a wrong one, if one is near.

    >>> did_you_mean("hiden", ["hidden", "epochs"], "model.")
    'did you mean model.hidden? '
    """
    near = nearest(word, known)
    return f"did you mean {prefix}{near}? " if near else ""


def nearest(word: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that a wrong one may stand for: what means the same, or is spelled so.

    Small and capital letters are alike.

    >>> nearest("adamW", ["adam", "adamw"]), nearest("lr", ["epochs", "learning_rate"])
    ('adamw', 'learning_rate')
    """
    from difflib import get_close_matches

    lowered = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), lowered, n=1, cutoff=cutoff)
    return same_meaning(word, known) or (lowered[near[0]] if near else None)


def same_meaning(word: str, known: Collection[str]) -> str | None:
    """Return the known name that is a word but for capital letters, or that means the same."""
    lowered = {name.lower(): name for name in known}
    word = word.lower().replace("-", "_")
    names = [word, *(name for name, others in SAID_BY_OTHERS.items() if word in others.split())]
    return next((lowered[name] for name in names if name in lowered), None)


def install(extra: str) -> str:
    """Return the command that installs an extra beside this package, wherever it is typed.

    In a clone that is the clone's own, with its pinned versions; otherwise the package comes from
    where it came from: a file, a repository, or the index.
    """
    from shutil import which

    source = Path(__file__).parents[1]
    pip = Path(which("pip") or "")
    is_same = pip.parent == Path(sys.executable).parent
    install = "pip install" if is_same else f"{short_path(Path(sys.executable))} -m pip install"
    if (source / "constraints.txt").is_file():
        pinned = short_path(source / "constraints.txt")
        return f"{install} -c {pinned} -e '{short_path(source)}[{extra}]'"
    return f"{install} 'dagrec[{extra}]{_origin()}'"


def _origin() -> str:
    """Return where the package was installed from, as pip takes it; empty if from the index."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        source = json.loads(distribution("dagrec").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return ""
    vcs = source.get("vcs_info", {}).get("vcs")
    return f" @ {f'{vcs}+' if vcs else ''}{source['url']}" if "url" in source else ""


def short_path(path: Path) -> Path:
    """Return a path as it is seen from the working folder, if it lies below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def plural(count: int, noun: str) -> str:
    """Return ``1 composition``, ``2 compositions`` and so on."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def one_line(text: str, most: int = 400) -> str:
    """Return a text as one line that a terminal can show, cut in its middle if it is long."""
    if len(text) > most:
        text = f"{text[: most // 2]} … {text[-most // 2 :]}"
    return visible(text)


def visible(text: str) -> str:
    r"""Return a text without characters that act instead of being seen, which are spelled instead.

    Those are the control characters (a terminal obeys them, a line ends there) and what turns the
    direction of writing, so that a text reads as another one.

    >>> visible("red \x1b[31m")
    'red \\x1b[31m'
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    is_seen = character.isprintable() or character in SEEN
    return character if is_seen else ascii(character)[1:-1]
