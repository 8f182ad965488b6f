"""The command line: thin functions over pure ones."""
