"""The local stack: LiveKit, Postgres and models on one machine, and simulated callers."""

import os

# onnxruntime (Silero VAD, Piper) sends usage data by default; it reads this when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
