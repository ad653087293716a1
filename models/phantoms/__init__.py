"""Specimens whose truth is known at any voxel size and any angle."""
