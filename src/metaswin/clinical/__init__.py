"""The clinical table: reading, roles of columns, labels."""
