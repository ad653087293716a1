"""Element maps from patterns of light and one detector that sees no place."""
