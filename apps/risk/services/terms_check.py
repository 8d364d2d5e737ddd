"""
The what-if that every change of terms passes (`TERMS_CHECKS`): whoever it would call or close has been seen
and confirmed, or the change is undone. Decides nothing about the terms themselves.
"""

from apps.groups.selectors import TermsBook, load_terms, terms_book, with_values
from apps.market.services.terms_changes import TermsChange, TermsNeedConfirmation
from apps.risk.selectors.terms_impact import impact_of


class WhatIfCheck:
    """Compares all accounts under the terms before a change and after it."""

    def before(self, change: TermsChange) -> None:
        """Remember the terms as they are."""
        self._book: TermsBook = terms_book()

    def after(self, change: TermsChange) -> None:
        """
        Note what the change does to accounts.

        :raises TermsNeedConfirmation: it is more than was confirmed.
        """
        # What is not committed must never become the process's own book: it is read past it.
        written = with_values(load_terms(), change.held_back)
        change.impact = impact_of(self._book, written, reach=change.reach)
        if change.impact.exceeds(change.confirmed.called, change.confirmed.closed):
            raise TermsNeedConfirmation(change.impact)
