"""REST routes: `read` (GET, from the newest snapshot) and `write` (POST, control words and logins)."""
