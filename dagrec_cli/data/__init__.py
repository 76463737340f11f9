"""From raw compositions to pairs: readers, paths, contexts, splits, the service graph."""
