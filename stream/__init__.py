"""llm-stream: Kafka workers that call language models and never fail silently."""

__version__ = "0.1.0"
