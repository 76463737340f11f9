"""The run folder: what is in it, written and read here, checked on the way in."""
