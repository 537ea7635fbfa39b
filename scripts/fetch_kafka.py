"""Makes sure that Kafka's jars are in the checkout's `.cache`, or says what is missing."""

import sys

from stream.core.errors import DependencyError
from stream.kafka.local_libs import ensure_libs

try:
    ensure_libs(lambda line: print(f"kafka: {line}", flush=True))
except DependencyError as error:
    sys.exit(f"kafka: {error}")
