"""Runs kept in a database: every record whole, and the trends that are made of them."""
