"""Pictures of the report: records in, inline SVG out, one file a picture."""
