"""What rescues a call: stalled and failed turns, silence, the longest duration."""
