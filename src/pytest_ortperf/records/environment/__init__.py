"""What a run was made on and with: versions, hardware, labels, the state of the machine."""
