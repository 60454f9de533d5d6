"""Checks of a case that are neither validation nor benchmark: leaks, and threads."""
