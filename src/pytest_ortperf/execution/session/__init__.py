"""A session of ONNX Runtime that provably runs where it was asked to."""
