"""What screens draw of a job, over rounds made by hand."""
