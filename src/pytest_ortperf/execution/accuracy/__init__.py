"""Outputs against references: differences, tolerances and what a precision itself costs."""
