"""Giving up every right before the first packet is parsed (SECURITY.md): who to become, Landlock, seccomp."""
