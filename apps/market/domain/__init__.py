"""Pure business rules of `market`: no Django, clock, randomness or float."""
