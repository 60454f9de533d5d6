"""One function a bundled model; each returns the graph and the inputs it is stored with."""
