"""ONNX models x execution providers x precisions as pytest items."""
