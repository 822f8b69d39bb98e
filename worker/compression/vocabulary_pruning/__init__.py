"""Words that the data has none of go out of tables and heads, and ids stay as they were."""
