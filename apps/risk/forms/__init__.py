"""Forms of risk's configuration and operations."""
