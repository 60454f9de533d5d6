"""What came out: records, the environment they were made in, and their file."""
