"""What a case is fed: stored, generated or given data, and the tensor types behind it."""
