"""Named benchmarks: one file each, a plain and a fast way over the same inputs."""
