"""The documents show every picture that is kept for them, and no other."""

from tests.documents import PICTURES, shown_pictures


def test_the_documents_show_the_pictures_that_are_kept() -> None:
    kept = {path.resolve() for path in PICTURES.iterdir()}

    assert len(kept) > 20
    assert {path.name for path in kept - shown_pictures()} == set()  # shown by no document
    assert {str(path) for path in shown_pictures() - kept} == set()  # shown, and not there
