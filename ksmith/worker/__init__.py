"""The process that does the science: specs in, outcome folders out; no database, no MLflow."""
