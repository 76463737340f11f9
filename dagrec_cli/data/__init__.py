"""From raw compositions to padded sequences: readers, paths, contexts, pairs, splits, service graph."""
