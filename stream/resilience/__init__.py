"""What to do on a provider's bad day: state machines that take `now_s` and `rand`, without I/O, clock or chance."""
