"""The worker: settings, logs, LiveKit's server, one call's life, and what is recorded of it."""

import os

# onnxruntime (Silero VAD, Piper) sends usage data by default; it reads this at its first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
