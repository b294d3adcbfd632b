"""Instrumentation: patches LiveKit to observe it. No private name of LiveKit is used elsewhere."""
