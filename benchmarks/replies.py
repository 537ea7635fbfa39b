"""What every provider here answers: one good reply for `classify-ticket`, the same for worker and references."""

import json
from typing import Any

from stream.core.records import Usage

OUTPUT: dict[str, Any] = {
    "category": "technical",
    "priority": "high",
    "sentiment": "negative",
    "language": "en",
    "summary": "The customer cannot book deliveries since the last update and asks for a workaround before tonight.",
    "product": "Cargo Scanner 3",
    "needs_human": False,
}
TEXT = json.dumps(OUTPUT)
USAGE = Usage(input_tokens=912, output_tokens=74)

OPENAI_BODY = json.dumps(
    {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "gpt-4.1-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": TEXT, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": USAGE.input_tokens,
            "completion_tokens": USAGE.output_tokens,
            "total_tokens": USAGE.input_tokens + USAGE.output_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        },
    }
).encode()

ANTHROPIC_BODY = json.dumps(
    {
        "id": "msg_benchmark",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5",
        "content": [{"type": "text", "text": TEXT}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": USAGE.input_tokens, "output_tokens": USAGE.output_tokens},
    }
).encode()
