"""Tables of the console: filters that staff keep for their lists. No personal data: searches are not kept."""

from django.conf import settings
from django.db import models


class SavedFilter(models.Model):
    """A list's filter and order under a name: one's own, or shared with everybody of a role."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="saved_filters"
    )
    page = models.CharField(max_length=80, help_text="The list, as app_table.")
    name = models.CharField(max_length=40)
    query = models.CharField(max_length=1000, blank=True, help_text="As it stands in the list's address.")
    shared_with = models.CharField("shared with role", max_length=12, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["page", "name"]
        permissions = [("share_savedfilter", "Can share saved filters with a role")]
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="saved_filter_once_per_name")
        ]

    def __str__(self) -> str:
        return str(self.name)
