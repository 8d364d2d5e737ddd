"""Pure rules of crm: fields, transformations, mapping and merging, signatures, limits."""
