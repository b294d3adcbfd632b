"""OpenAI's Realtime protocol over the local models: speech in, speech out, on one WebSocket."""
