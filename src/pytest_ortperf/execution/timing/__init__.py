"""Warm-up, sampling and the timing modes."""
