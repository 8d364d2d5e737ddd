"""Django's PostgreSQL backend with a pool that notices at once when the server has gone. Holds no rule."""
