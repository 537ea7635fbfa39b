"""What operators see: figures, logs, health. Added from outside: what is watched doesn't know."""
