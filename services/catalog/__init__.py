"""The only code that knows Tiled."""
