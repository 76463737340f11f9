"""One experiment: what its config describes, and the run from data to folder."""
