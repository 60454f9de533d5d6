"""Time by operator, from ONNX Runtime's own profile."""
