"""The baseline of the REST figure: same order, same checks and rows, as a plain REST framework view."""
