"""Stand-ins for providers' servers, run as processes of their own; they share no code with us."""
