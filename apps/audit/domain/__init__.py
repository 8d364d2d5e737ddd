"""Pure business rules of `audit`: no Django, clock, randomness or float."""
