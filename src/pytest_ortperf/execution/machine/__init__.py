"""What the machine is, does and allows: host, GPU, memory, energy, locks."""
