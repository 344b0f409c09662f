"""The trading database: tables, connections, migrations, reads. The recorder writes it, pages and reports read it."""
