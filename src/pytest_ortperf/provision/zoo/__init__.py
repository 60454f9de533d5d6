"""Models from the ONNX Model Zoo on the Hugging Face hub, and from archives at any address."""
