"""RTX app `funds`: deposits, withdrawals, adjustments, credit."""
