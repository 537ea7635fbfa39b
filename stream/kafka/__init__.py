"""Everything that talks to Kafka: the worker's heart, and the commands that read the topics."""
