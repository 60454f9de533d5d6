"""How items run: isolation, outcomes, and what decides whether a case runs at all."""
