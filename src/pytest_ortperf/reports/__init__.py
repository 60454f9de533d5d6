"""Show records: terminal, CSV, JUnit. Nothing here runs a model."""
