"""One file per way to draw negatives."""
