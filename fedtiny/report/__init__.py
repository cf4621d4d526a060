"""report.json and the HTML page made from it."""
