"""What is handed out: the tool as one file, and LiteLLM with the fork in it as a wheel."""
