"""Bluesky plans of the nanoprobe."""
