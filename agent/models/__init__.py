"""The models of the voice pipeline: chosen by settings, prepared before a call."""
