"""HTTP face of the service, docs/http.md. It turns requests into calls and errors into problems, and decides none."""
