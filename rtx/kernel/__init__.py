"""
The shared kernel: the only part of `rtx/` that apps import. Holds no concrete models and no business rule.
"""
