"""Patterns of light: where they stand, how well they tell pixels apart, and which of them to take."""
