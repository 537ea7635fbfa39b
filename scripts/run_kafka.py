"""A Kafka on this machine to try things with. Its data is in `.cache/broker`: what was written is there next time."""

import signal
import sys
from pathlib import Path

from stream.core.errors import DependencyError
from stream.kafka.local import LocalKafka
from stream.kafka.local_libs import ensure_libs

PORT = 9092
DATA = Path(".cache/broker")

signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    with LocalKafka(ensure_libs(print), DATA, port=PORT) as kafka:
        print(f"Kafka is up at {kafka.bootstrap_servers}; its data is in {DATA}. Ctrl-C stops it.", flush=True)
        signal.pause()
except KeyboardInterrupt:
    print("\nstopped")
except DependencyError as error:
    sys.exit(f"broker: {error}")
