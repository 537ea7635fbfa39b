"""What to do when a provider has a bad day: state machines that take `now_s` and `rand`, without I/O, clock or chance."""
