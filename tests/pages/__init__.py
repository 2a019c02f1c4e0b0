"""Pages with forms as projects make them, for people with and without JavaScript."""
