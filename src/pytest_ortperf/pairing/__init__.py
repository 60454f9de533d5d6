"""Pairs of processes that are measured in turns."""
