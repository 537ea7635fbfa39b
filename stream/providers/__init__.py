"""Places that complete prompts, one file each, and wrappers with the same interface (retry, gate)."""
