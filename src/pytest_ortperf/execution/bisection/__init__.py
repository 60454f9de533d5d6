"""The search for the node whose outputs are wrong."""
