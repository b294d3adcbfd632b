"""The local stack: LiveKit, Postgres and models on one machine, and callers to try them with."""

import os

# onnxruntime (Silero VAD, Piper) sends usage data by default; it is asked before its first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
