"""Records as tables: columns, rows and CSV files."""
