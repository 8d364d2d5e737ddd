"""Pure business rules of `groups`: no Django, clock, randomness or float."""
