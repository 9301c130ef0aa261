"""One widget a module: each paints from the session and sends messages; none owns data or opens a source."""
