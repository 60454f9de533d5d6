"""What pytest collects: lists, models and the cases of a selection."""
