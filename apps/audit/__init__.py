"""RTX app `audit`: staff actions, approvals, sealing."""
