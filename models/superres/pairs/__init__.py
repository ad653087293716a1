"""Pairs of fine maps and what a scan reads of them, to train networks on."""
