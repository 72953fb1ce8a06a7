"""What `make soak` leaves: dated reports under docs/measurements/."""
