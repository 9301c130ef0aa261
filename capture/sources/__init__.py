"""Where packets come from: one module a source, each yields blocks of raw memory."""
