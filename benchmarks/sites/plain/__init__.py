"""Django alone: the file comes with the form."""
