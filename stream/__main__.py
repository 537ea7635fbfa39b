"""`python -m stream` is `llm-stream`."""

from stream.cli.main import main

main()
