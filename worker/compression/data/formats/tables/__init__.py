"""Tables: CSV, JSON lines, Parquet and archives of them become files of columns, mapped row by row."""
