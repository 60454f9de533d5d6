"""A folder that shows a failure to those who do not have this package."""
