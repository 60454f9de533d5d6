"""A static site of the history: what changed, and every series over time."""
