"""What can fail a run beside its items."""
