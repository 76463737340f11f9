"""The run folder, tables and plots."""
