"""One file per model. A model scores every service of the catalogue for a batch of contexts."""
