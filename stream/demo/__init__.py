"""The product shown in a minute, without a broker or a key: `llm-stream demo` and `llm-stream try`."""
