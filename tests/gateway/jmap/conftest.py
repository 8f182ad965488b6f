"""A world with mails and chats, and calls against one of its views."""
