"""Routes of `console`."""

urlpatterns: list = []
