"""One file per area: who may do what there. Read by `tests.integration.matrix.declared`."""
