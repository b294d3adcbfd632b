"""Call records of LiveKit voice agents in your own Postgres, of which none is lost."""
