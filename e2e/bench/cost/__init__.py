"""What the router costs a request, beside HAProxy without routes, nginx and Traefik. No cluster."""
