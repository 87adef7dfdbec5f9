"""Demo: a seeded simulator of one made-up company, with the truth about what fails there and why."""
