"""All settings, from the environment and `.env`; documented in `.env.example`."""

from agent.settings.all import Settings
from agent.settings.load import load
from agent.settings.required import require_database, require_livekit, require_models

__all__ = ["Settings", "load", "require_database", "require_livekit", "require_models"]
