"""What llm-stream costs, each figure beside a reference measured in the same run. Run: `make bench`."""
