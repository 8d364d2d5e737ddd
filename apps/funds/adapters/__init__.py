"""Files that `funds` hands out."""
