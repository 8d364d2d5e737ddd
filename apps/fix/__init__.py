"""RTX app `fix`: FIX credentials, sessions, gateway."""
