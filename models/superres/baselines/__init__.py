"""Classical super-resolution, each run to convergence: what a network has to beat."""
