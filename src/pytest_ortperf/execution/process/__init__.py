"""Child processes and external programs."""
