"""What the console reads: the dashboard's figures, what waits, what a search finds."""
