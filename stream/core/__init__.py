"""The rules: no I/O, no clock, no chance, no SDK. Data in, data out."""
