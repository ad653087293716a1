"""Training of networks from the command line: progress, logs, checkpoints, weights."""
