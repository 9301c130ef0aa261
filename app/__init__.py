"""Wiring: command line, settings, screens and keys. Nothing here decodes or paints."""
