"""Projections to volumes."""
