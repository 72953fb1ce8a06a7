"""`make demo`: from nothing to a conversation, in the terminal."""
