"""Files that come in from outside and go out: sheets of rows."""
