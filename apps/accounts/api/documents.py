"""How a document leaves the house, for pages and REST alike: as a download, logged, kept by no cache."""

from django.db import transaction
from django.http import HttpResponse

from apps.accounts.domain.kyc import EXTENSIONS
from apps.accounts.models import KycDocument
from apps.accounts.services import kyc
from rtx.kernel import staff_log
from rtx.kernel.actor import Actor


def document_answer(document: KycDocument, actor: Actor) -> HttpResponse:
    """
    Return a document as a download, and log who opened it and why.

    :raises NotFound: it was erased.
    """
    with transaction.atomic():
        content = kyc.read_document(document)
        staff_log.record(actor=actor, operation="accounts.download_document", **staff_log.about(document, ""))
    answer = HttpResponse(content, content_type=document.media_type)
    name = f"client-{document.client.number}-{document.kind}.{EXTENSIONS[document.media_type]}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Security-Policy"] = "sandbox; default-src 'none'"
    answer["Cache-Control"] = "no-store"
    return answer
