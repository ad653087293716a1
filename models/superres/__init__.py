"""Coarse maps to fine maps with uncertainty."""
