"""One reader per file format; each yields compositions one by one."""
