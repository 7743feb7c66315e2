"""What a version can do, in numbers (`report.json`) and as a page (`report.html`)."""
