"""Routes of `market`."""

urlpatterns: list = []
