"""What a system costs and earns: prices, bills, payback, and when to stop."""
