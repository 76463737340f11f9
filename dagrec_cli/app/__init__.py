"""Hydra and the terminal: composing, help, what goes wrong in one line, Ctrl-C, output."""
