"""Pure business rules of `trading`: no Django, clock, randomness or float."""
