"""The model file: found, hashed, converted to a precision, and its shapes."""
