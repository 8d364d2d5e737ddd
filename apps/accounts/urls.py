"""Routes of `accounts`."""

urlpatterns: list = []
