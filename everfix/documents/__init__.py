"""Documents: what a report says, as data, and its renderings. Pure: no database, no HTTP, no clock."""
