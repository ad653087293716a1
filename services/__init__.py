"""The edges: Tiled, HTTP, settings, processes."""
