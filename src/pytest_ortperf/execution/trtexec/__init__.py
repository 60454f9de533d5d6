"""Standalone TensorRT: trtexec as an external program beside ONNX Runtime's providers."""
