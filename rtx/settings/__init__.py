"""Settings of RTX: `base` is shared; `dev`, `test` and `prod` say what differs."""
