"""What was measured, as tables of ``results/*.csv``, and the pages and plots made of them."""
