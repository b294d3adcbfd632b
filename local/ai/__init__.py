"""Local models behind OpenAI's API: speech to text, chat, text to speech, realtime."""
