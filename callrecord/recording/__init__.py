"""What is recorded of a call: LiveKit's events become those of `callrecord.events`."""
