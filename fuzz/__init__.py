"""Fuzzing: what must hold whatever the bytes, and what makes the bytes. `python -m fuzz --help`"""
