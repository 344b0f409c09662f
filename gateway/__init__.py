"""The gateway process, the embedded venue, and the protocol library they share."""
