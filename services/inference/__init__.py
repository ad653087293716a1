"""The worker that turns each finished projection into enhanced maps."""
