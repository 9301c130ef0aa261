"""What the kernel knows: interfaces, their counters, capture filters, memory."""
