# ruff: noqa: T201
"""What one does in a notebook, cell by cell; ``test_api.py`` runs it and reads what it prints."""

# %% The data
import sys

import dagrec_cli as dagrec

HEAVY = {"torch", "pandas", "numpy", "hydra", "omegaconf", "msgspec", "rich", "networkx"}
print("imported:", sorted(HEAVY & set(sys.modules)))

data = dagrec.read_data("data=synthetic", "data.compositions=60")
print(f"{data.n_compositions} compositions, {len(data.pairs.target)} pairs")

# %% Two models
WORDS = ("data.compositions=60",)
network = dagrec.train(*WORDS, "trainer.epochs=2", seeds=[0, 1])
counting = dagrec.train(*WORDS, "model=markov", folder="counts")
print("folders:", network.folder.parts[:2], counting)
print(network.metrics.round(2).loc[["accuracy", "ndcg"], ["mean", "std"]])
print(network.predictions.groupby("seed").size().to_dict())
print(f"{sum(each.numel() for each in network.model.parameters())} weights")

# %% One of them, another day
again = dagrec.load("counts")
first = again.contexts.loc[again.predictions.context.iloc[0]]
context = [again.contexts.node[parent] for parent in first.parents] + [first.node]
for each in again.recommend(context, k=2).services:
    print(f"{each.service} {each.probability:.2f} {each.seen}")
print([len(each.services) for each in again.recommend_many([context, context[-1:]], k=3)])

# %% Side by side
table = dagrec.compare([network, "counts"])
print(table[["row", "seeds", "accuracy", "accuracy_low", "p"]].round(2))
print(table.attrs["notes"][0].partition(";")[0])

# %% What goes wrong can be caught
for words in (["model=gru"], ["trainer.epochs=0"], ["data.compositions=0"], ["lr=1"], ["-m"]):
    try:
        dagrec.train(*words)
    except dagrec.DagrecError as error:
        print(f"{type(error).__name__}: {error}")
