"""Routes of `trading`."""

urlpatterns: list = []
