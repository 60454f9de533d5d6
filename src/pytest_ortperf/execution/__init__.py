"""Run a case: model file, precision, inputs, session, then accuracy or latency."""
