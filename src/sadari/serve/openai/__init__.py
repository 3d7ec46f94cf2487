"""The routes that clients of OpenAI's interface know."""
