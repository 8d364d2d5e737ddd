"""Pure business rules of `accounts`: no Django, clock, randomness or float."""
