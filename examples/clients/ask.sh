#!/bin/sh
# Chat, a stream, a tool and an error with curl: sh ask.sh [BASE_URL] [KEY]
base=${1:-http://127.0.0.1:8000/v1}
key=${2:-none}

ask() {
    curl --silent --no-buffer "$base/chat/completions" -H "Authorization: Bearer $key" -H "Content-Type: application/json" -d "$1"
    echo
}

tools='[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]'
question='{"role": "user", "content": "부산 날씨 알려줘"}'
call='{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"부산\"}"}}'

ask '{"model": "sadari", "messages": [{"role": "user", "content": "안녕하세요"}]}'
ask '{"model": "sadari-raw", "messages": [{"role": "user", "content": "안녕하세요"}], "stream": true}'
ask "{\"model\": \"sadari-raw\", \"messages\": [$question], \"tools\": $tools}"
ask "{\"model\": \"sadari-raw\", \"tools\": $tools, \"messages\": [$question, {\"role\": \"assistant\", \"tool_calls\": [$call]},
      {\"role\": \"tool\", \"tool_call_id\": \"call_1\", \"content\": \"오늘 맑음\"}]}"
ask '{"model": "no-such-model", "messages": [{"role": "user", "content": "?"}]}'
