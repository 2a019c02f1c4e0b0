"""django-file-form has its own."""
