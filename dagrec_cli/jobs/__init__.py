"""Many experiments: sweeps, tables, searches."""
