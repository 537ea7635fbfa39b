"""From bytes to values and back: JSON read strictly, request events, redaction."""
