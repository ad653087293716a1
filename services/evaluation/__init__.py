"""Judging enhancers from the command line: table, figures, pictures."""
