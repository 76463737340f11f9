"""Tables, verdicts, reports and pictures of finished runs; it draws and does nothing else."""
