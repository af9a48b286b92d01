"""``report.html``: one page that shows what a run did, with the data in it, and ``diff.html`` for two of them."""
