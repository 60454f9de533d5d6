"""Options: the table, how they are read, and the settings and providers that follow from them."""
