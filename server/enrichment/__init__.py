"""Who is this person? Asked of the providers in the background, after every sign-up and on request."""
