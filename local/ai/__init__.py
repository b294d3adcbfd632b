"""Local models behind OpenAI's HTTP API: speech to text, chat, text to speech."""
