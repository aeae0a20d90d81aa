"""What is measured beside this service: small programs in the plain style of each library's own documentation."""
