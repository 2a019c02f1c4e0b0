"""django-file-form, whose widget sends by tus."""
