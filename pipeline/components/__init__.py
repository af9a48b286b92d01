"""Connected components of a graph whose edges are spread over tasks."""
