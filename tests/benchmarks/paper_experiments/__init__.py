"""The experiments of the papers, simulated: see `tests/benchmarks/papers.py`."""
