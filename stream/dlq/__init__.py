"""Dead letters: read, shown, and sent again."""
