"""RTX app `console`: operator dashboard and admin site."""
