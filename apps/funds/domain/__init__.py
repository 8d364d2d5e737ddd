"""Pure business rules of `funds`: no Django, clock, randomness or float."""
