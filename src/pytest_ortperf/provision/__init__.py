"""Other ONNX Runtimes than the installed one: environments that have them, and the search for the release at fault."""
