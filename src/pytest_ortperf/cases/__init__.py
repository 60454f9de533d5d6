"""What to run: model lists, directories and sources become models, models become cases."""
