"""Two results side by side: what got slower, what broke, and what cannot be told. Pure functions on records."""
