"""Pure business rules of `console`: no Django, clock, randomness or float."""
