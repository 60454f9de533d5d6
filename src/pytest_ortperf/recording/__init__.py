"""Records as they come in: the records file, reports at the end, live progress."""
